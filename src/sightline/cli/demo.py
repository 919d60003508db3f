"""demo: the whole product in a minute, offline: draw road signs, train, test on signs kept apart, open the page.

With --photos it trains on a person's own pictures; with --minutes a network learns from nothing; with --objects the signs stand
in streets among other things, and a detector learns where they are.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sightline import progress
from sightline.errors import UsageError
from sightline.types import Record, Score

if TYPE_CHECKING:
    from rich.console import RenderableType

SIGNS = ("give-way", "no-entry", "parking", "priority-road", "roundabout", "stop")  # few, so that seconds or minutes do


class Demo(Record):
    """What the demo made and how well it does on the pictures kept apart, which lie in `test`."""

    pictures: str
    test: str
    model: str
    report: str
    scores: dict[str, Score]
    train_seconds: float
    seconds: float


class _Plan(NamedTuple):
    """What is drawn, how much of it, and how many minutes a network is trained for (None: only a head, 0: nothing)."""

    what: str
    folder: str
    number: int
    minutes: float | None


_QUICK = _Plan("road signs", "six-road-signs", 720, None)
_WHOLE = _Plan("road signs", "road-signs", 2400, 2.5)
_PLACES = _Plan("streets with road signs", "street-scenes", 400, 10.0)


def demo(
    *,
    out: Path = Path("sightline-demo"),
    photos: Path | None = None,
    objects: bool = False,
    count: int | None = None,
    minutes: float | None = None,
    format: str | None = None,
    seed: int = 0,
    page: bool = True,
    port: int = 8000,
) -> Demo:
    """Draw road signs, train on them, test it, and open a page to try it: in a minute. Downloads nothing (--objects: the
    pretrained weights, where they are not at hand).

    Args:
        out: Folder for the pictures and the model; made if missing, used again if complete.
        photos: Train on pictures of your own instead: a folder with a folder of pictures for each kind. Nothing in it changes.
        objects: Draw streets with signs among other things, and train a detector that finds them.
        count: How many pictures to draw, a fifth of them for the test (720; with --minutes 2400; with --objects 400).
        minutes: Train a network from nothing for so long (2.5 is enough), on twenty kinds of signs instead of six; needs the
            extra 'deep'. With --objects the time for the detector (10). 0 only draws.
        format: How the streets of --objects are written: coco (the default), voc or yolo.
        seed: Of the drawing and the training.
        page: Open the page at the end (stop it with Ctrl-C); --no-page only trains and tests.
        port: Of the page.
    """
    from sightline.cli.commands import tell

    if format is not None and not objects:
        raise UsageError("--format is for the streets of --objects", hint="add --objects, or leave it away")
    if photos is not None and (objects or count is not None or minutes is not None):
        raise UsageError("--photos are your own pictures: nothing is drawn", hint="leave out --objects, --count and --minutes")
    plan = _PLACES if objects else _QUICK if minutes is None else _WHOLE
    plan = plan._replace(number=plan.number if count is None else count, minutes=plan.minutes if minutes is None else minutes)
    if objects and minutes is None and not _weights():
        progress.note(
            "no pretrained weights are at hand: a finder that begins with nothing needs hours, so the streets are only drawn; "
            "let the hub be asked, give a folder with SIGHTLINE_WEIGHTS, or say how long with --minutes"
        )
        plan = plan._replace(minutes=0)
    result = _own(photos, out, seed) if photos else _made(plan, out, format or "coco", seed)
    if page and result.model:
        from sightline.web.serve import serve

        tell(show(result))
        serve(result.model, port=port, open_browser=True)
    return result


def _weights() -> bool:
    """Whether the network that the finder stands on can begin with pretrained weights."""
    from sightline.learn.backbones import named

    return named("mobilenetv2_100") is not None


def _own(photos: Path, out: Path, seed: int) -> Demo:
    """A head on frozen features of a person's pictures; what it is tested on is kept apart by the training."""
    from sightline.verbs.train import train

    start = time.perf_counter()
    progress.note(f"training a head on frozen features of the pictures in {photos}")
    trained = train(photos, out=out / "photos-model", way="probe", seed=seed, replace=True)
    return Demo(
        pictures=str(photos),
        test=str(photos),
        model=trained.model,
        report=trained.report,
        scores=trained.scores,
        train_seconds=trained.seconds,
        seconds=_since(start),
    )


def _made(plan: _Plan, out: Path, format: str, seed: int) -> Demo:
    from sightline.data.roadsigns import CLASSES, draw_road_signs, draw_scenes
    from sightline.learn.own import NAME as OWN
    from sightline.verbs.evaluate import evaluate
    from sightline.verbs.train import train

    start = time.perf_counter()
    objects = plan.what == _PLACES.what
    pictures = out / (plan.folder if format == "coco" else f"{plan.folder}-{format}")
    progress.note(f"1/3 drawing {plan.number} {plan.what} into {pictures}")
    if objects:
        draw_scenes(pictures, count=plan.number, seed=seed, format=format, classes=SIGNS)
    else:
        draw_road_signs(pictures, count=plan.number, seed=seed, classes=SIGNS if plan.minutes is None else CLASSES)
    if plan.minutes == 0:
        where = str(pictures)
        return Demo(pictures=where, test="", model="", report="", scores={}, train_seconds=0, seconds=_since(start))
    wish: dict[str, Any]
    if objects:
        said, name, data, test, report = "a small detector", "street-sign-finder", pictures, pictures, "streets-report"
        wish = {"backbone": "yolo-small", "minutes": plan.minutes}
    else:
        name, data, test, report = "road-sign-model", pictures / "train", pictures / "test", "test-report"
        if plan.minutes is None:
            said, wish = "a head on the frozen features of our own backbone", {"backbone": OWN, "way": "probe"}
        else:
            said, wish = "a small network, from nothing,", {"size": "tiny", "way": "scratch", "minutes": plan.minutes}
    progress.note(f"2/3 training {said} on them")
    trained = train(data, out=out / name, seed=seed, replace=True, **wish)
    progress.note("3/3 testing it on signs it has never seen")
    tested = evaluate(test, model=trained.model, report=out / report)
    return Demo(
        pictures=str(pictures),
        test=str(pictures / "images" / "test" if objects else test),
        model=trained.model,
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

    from sightline.verbs.wording import headline

    if not result.model:
        return Group(
            Text(f"Drawn in {result.seconds:.0f} s", "bold"),
            Text(f"pictures {result.pictures}"),
            Text(f"train on them: sightline train {result.pictures} --out model"),
        )
    if "map50" in result.scores:
        score = result.scores["map50"]
        said = f"mAP@.5 {score.value:.3f} on {score.n} streets it had never seen (95 % sure: {score.low:.3f}-{score.high:.3f})"
    else:
        said = headline(result.scores, "pictures that it had never seen")
    return Group(
        Text(said, "bold"),
        Text(f"trained in {result.train_seconds:.0f} s, everything in {result.seconds:.0f} s"),
        Text(f"report   {result.report}"),
        Text(f"model    {result.model}"),
        Text(f"try it   sightline predict {result.test} --model {result.model}"),
        Text(f"         sightline serve {result.model}"),
        Text("yours    sightline demo --photos FOLDER, with a folder of pictures in it for each kind"),
    )
