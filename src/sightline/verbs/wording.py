"""Scores in words: which of them answers "how good is it", the one sentence that matters, a share with its interval.

No verb itself. Knows scores, not where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping

from sightline.types import Score


def main_score(scores: Mapping[str, Score]) -> str:
    """The name of the score that answers "how good is it"."""
    return next((name for name in ("top1", "map50", "miou", "map") if name in scores), next(iter(scores)))


def headline(scores: Mapping[str, Score], what: str = "new pictures") -> str:
    """The one sentence that matters, in words: "Right on 87 of 100 new pictures (95 % sure: 83 to 91)"."""
    one = scores[main_score(scores)]
    if "map50" in scores:
        return _of_objects(scores, what)
    if "miou" in scores:
        return _of_pixels(scores, what)
    if "top1" in scores:
        return (
            f"Right on {100 * one.value:.1f} of 100 {what} (95 % sure: {100 * one.low:.0f} to {100 * one.high:.0f}; "
            f"measured on {one.n})"
        )
    return f"Mean average precision {one.value:.1%} (95 % sure: {one.low:.1%} to {one.high:.1%}; measured on {one.n} {what})"


def _of_objects(scores: Mapping[str, Score], what: str) -> str:
    found, right, main = (scores[name] for name in ("recall", "precision", "map50"))
    span = f"{100 * main.low:.0f} to {100 * main.high:.0f}"
    return (
        f"Finds {100 * found.value:.1f} of 100 objects (95 % sure: {100 * found.low:.0f} to {100 * found.high:.0f}); of 100 it "
        f"gives {100 * right.value:.1f} are right. mAP@.5 {100 * main.value:.1f} % ({span}), "
        f"measured on {main.n} {what}"
    )


def _of_pixels(scores: Mapping[str, Score], what: str) -> str:
    main, right = scores["miou"], scores["pixels"]
    span = f"{100 * main.low:.0f} to {100 * main.high:.0f}"
    return (
        f"Names {100 * right.value:.1f} of 100 pixels right; mean IoU {100 * main.value:.1f} % (95 % sure: {span}), "
        f"measured on {main.n} {what}"
    )


def score_text(name: str, score: Score) -> str:
    """A share with its interval, "86.2 % (82-90)"; a loss, which is none, as a plain number."""
    if score.n == 0:
        return "-"
    if name == "log_loss":
        return f"{score.value:.3f} ({score.low:.3f}-{score.high:.3f})"
    return f"{score.value:.1%} ({100 * score.low:.0f}-{100 * score.high:.0f})".replace("%", " %")
