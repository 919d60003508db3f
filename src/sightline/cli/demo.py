"""demo: the whole product in minutes, offline: draw road signs, train from scratch, test on signs kept apart, open the page.

With --objects the signs stand in streets among other things, and a detector learns where they are.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sightline import progress
from sightline.errors import UsageError
from sightline.types import Record, Score

if TYPE_CHECKING:
    from rich.console import RenderableType

SIGNS = ("give-way", "no-entry", "parking", "priority-road", "roundabout", "stop")  # of the scenes: few, so that minutes do


class Demo(Record):
    """What the demo made and how well it does on the signs kept apart."""

    pictures: str
    model: str
    report: str
    scores: dict[str, Score]
    train_seconds: float
    seconds: float


class _Plan(NamedTuple):
    """What is drawn, how much of it, and how long is trained."""

    what: str
    folder: str
    number: int
    minutes: float


_WHOLE = _Plan("road signs", "road-signs", 2400, 2.5)
_PLACES = _Plan("streets with road signs", "street-scenes", 400, 10.0)


def demo(
    *,
    out: Path = Path("sightline-demo"),
    objects: bool = False,
    count: int | None = None,
    minutes: float | None = None,
    format: str | None = None,
    seed: int = 0,
    page: bool = True,
    port: int = 8000,
) -> Demo:
    """Draw road signs, train a small network on them, test it, and open a page to try it. Downloads nothing (--objects: the
    pretrained weights, where they are not at hand).

    Args:
        out: Folder for the pictures and the model; made if missing, used again if complete.
        objects: Draw streets with signs among other things, and train a detector that finds them.
        count: How many pictures to draw, a fifth of them for the test (2400; with --objects 400).
        minutes: Time to train for (2.5; with --objects 10, where pretrained weights are at hand). 0: only draw.
        format: How the streets of --objects are written: coco (the default), voc or yolo.
        seed: Of the drawing and the training.
        page: Open the page at the end (stop it with Ctrl-C); --no-page only trains and tests.
        port: Of the page.
    """
    from sightline.cli.commands import tell

    if format is not None and not objects:
        raise UsageError("--format is for the streets of --objects", hint="add --objects, or leave it away")
    plan = _PLACES if objects else _WHOLE
    plan = plan._replace(number=plan.number if count is None else count, minutes=plan.minutes if minutes is None else minutes)
    if objects and minutes is None and not _weights():
        progress.note(
            "no pretrained weights are at hand: a finder that begins with nothing needs hours, so the streets are only drawn; "
            "let the hub be asked, give a folder with SIGHTLINE_WEIGHTS, or say how long with --minutes"
        )
        plan = plan._replace(minutes=0)
    result = _made(plan, out, format or "coco", seed)
    if page and result.model:
        from sightline.web.serve import serve

        tell(show(result))
        serve(result.model, port=port, open_browser=True)
    return result


def _weights() -> bool:
    """Whether the network that the finder stands on can begin with pretrained weights."""
    from sightline.learn.backbones import choose

    return choose("small", "mobilenetv2_100") is not None


def _made(plan: _Plan, out: Path, format: str, seed: int) -> Demo:
    from sightline.data.roadsigns import draw_road_signs, draw_scenes
    from sightline.verbs.evaluate import evaluate
    from sightline.verbs.train import train

    start = time.perf_counter()
    objects = plan.what == _PLACES.what
    pictures = out / (plan.folder if format == "coco" else f"{plan.folder}-{format}")
    progress.note(f"1/3 drawing {plan.number} {plan.what} into {pictures}")
    if objects:
        draw_scenes(pictures, count=plan.number, seed=seed, format=format, classes=SIGNS)
    else:
        draw_road_signs(pictures, count=plan.number, seed=seed)
    if not plan.minutes:
        return Demo(pictures=str(pictures), model="", report="", scores={}, train_seconds=0, seconds=_since(start))
    progress.note("2/3 training a small network on them" + ("" if objects else ", from scratch"))
    if objects:
        model, test, data = out / "street-sign-finder", pictures, pictures
        trained = train(data, out=model, backbone="yolo-small", minutes=plan.minutes, seed=seed, replace=True)
    else:
        model, test, data = out / "road-sign-model", pictures / "test", pictures / "train"
        trained = train(data, out=model, size="tiny", way="scratch", minutes=plan.minutes, seed=seed, replace=True)
    progress.note("3/3 testing it on signs it has never seen")
    tested = evaluate(test, model=str(model), report=out / ("test-report" if not objects else "streets-report"))
    return Demo(
        pictures=str(pictures),
        model=str(model),
        report=tested.report,
        scores=tested.scores,
        train_seconds=trained.seconds,
        seconds=_since(start),
    )


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 1)


def show(result: Demo) -> RenderableType:
    """The one number that matters, and what to do next."""
    from rich.console import Group
    from rich.text import Text

    if not result.model:
        return Group(
            Text(f"Drawn in {result.seconds:.0f} s", "bold"),
            Text(f"pictures {result.pictures}"),
            Text(f"train on them: sightline train {result.pictures} --out model"),
        )
    if "map50" in result.scores:
        score = result.scores["map50"]
        said = f"mAP@.5 {score.value:.3f} on {score.n} streets it had never seen (95 % sure: {score.low:.3f}-{score.high:.3f})"
        test = f"{result.pictures}/images/test"
    else:
        score = result.scores["top1"]
        said = f"Right on {score.value:.1%} of {score.n} road signs it had never seen "
        said += f"(95 % sure: {score.low:.1%}-{score.high:.1%})"
        test = f"{result.pictures}/test"
    return Group(
        Text(said, "bold"),
        Text(f"trained in {result.train_seconds:.0f} s, everything in {result.seconds:.0f} s"),
        Text(f"report   {result.report}"),
        Text(f"model    {result.model}"),
        Text(f"try it   sightline predict {test} --model {result.model}"),
        Text(f"         sightline serve {result.model}"),
    )
