"""The report: one HTML file that loads nothing from anywhere, works offline, on a phone, in print and without a mouse.

Puts sections into a page; knows not what they show. Style and the small script that sorts tables lie in templates/.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from sightline import files
from sightline.measure import background, results
from sightline.measure.markup import words
from sightline.measure.report_data import ReportData

Section = tuple[str, str, Callable[[ReportData], str]]

# id, heading, function: the order of the page. Other kinds of report bring their own list.
SECTIONS: tuple[Section, ...] = (
    ("short", "In short", results.in_short),
    ("classes", "Class by class", results.per_class),
    ("confusions", "What it mixes up", results.confusions),
    ("mistakes", "Where it was wrong", results.mistakes),
    ("trust", "How far to trust it", results.trust),
    ("sights", "What it looks at", background.sights),
    ("learning", "How it learned", background.learning),
    ("health", "Health of the data", background.health),
    ("scores", "All scores", results.all_scores),
    ("passport", "How the model was made", background.passport),
)


def write_report(path: Path, data: ReportData, sections: Sequence[Section] = SECTIONS) -> Path:
    """Write the page to `path`, or to report.html in it where it does not end in .html; returns the file.

    Raises: StorageError when it cannot be written.
    """
    target = path if path.suffix.lower() in {".html", ".htm"} else path / "report.html"
    files.write_text(target, page(data, sections))
    return target


def page(data: ReportData, sections: Sequence[Section] = SECTIONS) -> str:
    """The whole page as text. Sections without data are left out, from the list of links too."""
    shown = [(name, heading, html) for name, heading, draw in sections if (html := draw(data))]
    top = results.headline(data)
    links = "".join(f'<a href="#{name}">{words(heading)}</a>' for name, heading, _ in shown)
    body = "".join(f'<section id="{name}"><h2>{words(heading)}</h2>{html}</section>' for name, heading, html in shown)
    style, script = _template("report.css"), _template("report.js")
    # nothing may be loaded and nothing run but these two texts, whatever a file name or class name holds
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
    policy += "base-uri 'none'; form-action 'none'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{words(data.title)}</title>
<style>{style}</style>
</head>
<body>
<header><p class="kind">{_kind(data)}</p><h1>{words(data.title)}</h1>{_together(top)}</header>
{f'<nav aria-label="Sections">{links}</nav>' if len(shown) > 2 else ""}
<main>{_together(body)}</main>
<footer>{_footer(data)}</footer>
<script>{script}</script>
</body>
</html>
"""


def _together(html: str) -> str:
    """A number and its percent sign stay on one line."""
    return html.replace(" %", "\u00a0%")


def _kind(data: ReportData) -> str:
    scores = data.scores
    if scores is None:
        if data.card is not None and data.card.task == "detection":
            return f"Detection report · objects with places · {len(data.card.classes):,} classes"
        if data.card is not None and data.card.task == "segmentation":
            return f"Segmentation report · a class for every pixel · {len(data.card.classes):,} classes"
        return "Report"
    task = {"binary": "one of two classes", "multiclass": "one class for each picture", "multilabel": "several labels"}
    return f"Recognition report · {task[scores.task]} · {len(scores.classes):,} classes"


def _footer(data: ReportData) -> str:
    when = data.created or (data.card.created if data.card else "")
    made = f" · {words(when)}" if when else ""
    return f"Made by Sightline{made}. This page is one file and loads nothing from anywhere."


def _template(name: str) -> str:
    return resources.files("sightline.measure").joinpath("templates", name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
