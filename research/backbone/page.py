"""docs/backbone.md and its plot from the scores that judge.py kept.

PYTHONPATH=bench python research/backbone/page.py RUN
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from claims import charts
from sightline.learn import own

DOCS = Path(__file__).parent.parent.parent / "docs"
CURVE = "clothing, 100 a class"
ROWS = {
    "int8": "**ours, 8 bits** (1.36 MB)",
    "float": "ours, float32",
    "teacher": "teacher at 128 px",
    "hog+svm": "HOG + SVM",
    "random": "random network",
    "cifar": "CIFAR-trained",
}


def table(scores: dict[str, dict[str, Any]]) -> str:
    """A row for each task, a column for each kind of features: share right with its 95 % interval."""
    kinds = [key for key in ROWS if key in scores]
    lines = [f"| task | {' | '.join(ROWS[key] for key in kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for task in scores["int8"]:
        lines.append(f"| {task} | {' | '.join(_cell(scores[key].get(task)) for key in kinds)} |")
    return "\n".join(lines)


def _cell(found: dict[str, Any] | None) -> str:
    return f"{found['accuracy']:.1%} ({100 * found['low']:.0f}-{100 * found['high']:.0f})" if found else ""


def share(scores: dict[str, dict[str, Any]]) -> float:
    """Our accuracy as a part of the teacher's, the mean over tasks."""
    each = [scores["int8"][task]["accuracy"] / scores["teacher"][task]["accuracy"] for task in scores["int8"]]
    return sum(each) / len(each)


def gain(scores: dict[str, dict[str, Any]]) -> float:
    """Points over HOG + SVM, the mean over tasks."""
    each = [scores["int8"][task]["accuracy"] - scores["hog+svm"][task]["accuracy"] for task in scores["int8"]]
    return 100 * sum(each) / len(each)


def curve(book: dict[str, Any], out: Path) -> list[tuple[int, float]]:
    """Accuracy against samples; the plot goes to `out`."""
    points = sorted(
        (int(Path(who.partition("=")[2]).stem.partition("-")[2]), found[CURVE]["accuracy"])
        for who, found in book.items()
        if "/at-" in who and CURVE in found
    )
    teacher = book["teacher"][CURVE]["accuracy"]
    students = charts.Trail("student", tuple(charts.Dot(f"{x // 1000}k", x, y, 0) for x, y in points))
    flat = charts.Trail("teacher at 128 px", tuple(charts.Dot("", x, teacher, 1) for x in (points[0][0], points[-1][0])))
    out.write_text(charts.trails("Clothing, 100 a class", [students, flat], "crops seen", "right"), encoding="utf-8")
    return points


def main() -> None:
    run = Path(sys.argv[1])
    book, card = json.loads((run / "scores.json").read_text()), own.card()
    points = curve(book, DOCS / "pictures" / "backbone-curve.svg")
    cifar = next((found for who, found in book.items() if "cifar" in who), None)
    scores = {**card["scores"], **({"cifar": cifar} if cifar else {})}
    text = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
    values = {
        "TABLE": table(scores),
        "SHARE": f"{share(scores):.1%}",
        "GAIN": f"{gain(scores):.0f}",
        "PARAMETERS": f"{card['parameters'] / 1e6:.2f}",
        "SAMPLES": f"{card['samples']:,}",
        "HOURS": f"{card['hours']:.1f}",
        "LEARNED": textwrap.fill(card["learned_from"], 160),
        "LIMITS": textwrap.fill(card["limits"], 160),
        "POINTS": ", ".join(f"{x // 1000},000: {y:.1%}" for x, y in points),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (DOCS / "backbone.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
