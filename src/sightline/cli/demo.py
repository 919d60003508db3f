"""demo: the whole product in minutes, offline: draw road signs, train from scratch, test on signs kept apart, open the page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from sightline import progress
from sightline.types import Record, Score

if TYPE_CHECKING:
    from rich.console import RenderableType


class Demo(Record):
    """What the demo made and how well it does on the signs kept apart."""

    pictures: str
    model: str
    report: str
    scores: dict[str, Score]
    train_seconds: float
    seconds: float


def demo(
    *,
    out: Path = Path("sightline-demo"),
    count: int = 2400,
    minutes: float = 2.5,
    seed: int = 0,
    page: bool = True,
    port: int = 8000,
) -> Demo:
    """Draw road signs, train a small network on them, test it, and open a page to try it. Downloads nothing.

    Args:
        out: Folder for the pictures and the model; made if missing, used again if complete.
        count: How many pictures to draw, a fifth of them for the test.
        minutes: Time to train for.
        seed: Of the drawing and the training.
        page: Open the page at the end (stop it with Ctrl-C); --no-page only trains and tests.
        port: Of the page.
    """
    from sightline.cli.commands import tell
    from sightline.data.roadsigns import draw_road_signs
    from sightline.verbs.evaluate import evaluate
    from sightline.verbs.train import train

    start = time.perf_counter()
    progress.note(f"1/3 drawing {count} road signs into {out / 'road-signs'}")
    pictures = draw_road_signs(out / "road-signs", count=count, seed=seed)
    progress.note("2/3 training a small network on them, from scratch")
    model = out / "road-sign-model"
    trained = train(pictures / "train", out=model, size="tiny", way="scratch", minutes=minutes, seed=seed, replace=True)
    progress.note("3/3 testing it on signs it has never seen")
    tested = evaluate(pictures / "test", model=str(model), report=out / "test-report")
    result = Demo(
        pictures=str(pictures),
        model=str(model),
        report=tested.report,
        scores=tested.scores,
        train_seconds=trained.seconds,
        seconds=round(time.perf_counter() - start, 1),
    )
    if page:
        from sightline.web.serve import serve

        tell(show(result))
        serve(str(model), port=port, open_browser=True)
    return result


def show(result: Demo) -> RenderableType:
    """The one number that matters, and what to do next."""
    from rich.console import Group
    from rich.text import Text

    top1 = result.scores["top1"]
    return Group(
        Text(
            f"Right on {top1.value:.1%} of {top1.n} road signs it had never seen (95 % sure: {top1.low:.1%}-{top1.high:.1%})",
            "bold",
        ),
        Text(f"trained in {result.train_seconds:.0f} s, everything in {result.seconds:.0f} s"),
        Text(f"report   {result.report}"),
        Text(f"model    {result.model}"),
        Text(f"try it   sightline predict {result.pictures}/test --model {result.model}"),
        Text(f"         sightline serve {result.model}"),
    )
