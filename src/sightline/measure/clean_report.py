"""The page of `clean`: what was found, kind by kind, with the pictures, and what became of it. Values in, HTML out.

Knows no files and no datasets; the small pictures are handed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sightline.measure.markup import bullets, cell, count, picture, table, tail, words
from sightline.measure.report import Section, page
from sightline.measure.report_data import ReportData
from sightline.types import Finding

MOST = 24  # findings of a kind that are shown with pictures
PICTURES = 4  # of one finding
_NAMES_LAST = ("leak", "exact_duplicate", "near_duplicate")  # messages that end in ": " and the names


@dataclass(frozen=True, slots=True)
class Shown:
    """One finding and its first pictures: (name, small JPEG or PNG; empty where it cannot be read)."""

    finding: Finding
    pictures: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """All of one kind. called: in plain words; mends: what --fix does; number: of findings, of which some are shown."""

    name: str
    called: str
    mends: str
    number: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class CleanStory:
    """What the page tells. pictures: how many were looked at; done: sentences on what --fix did, none when it did not run."""

    title: str
    pictures: int
    kinds: Sequence[Kind]
    done: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    created: str = ""


def clean_page(story: CleanStory) -> str:
    """The whole page as text; the kinds stand in the order given."""
    sections: list[Section] = [("short", "In short", lambda _: _short(story))]
    sections += [(kind.name, _heading(kind), partial(_section, kind)) for kind in story.kinds]
    return page(ReportData(title=story.title, created=story.created), sections)


def _heading(kind: Kind) -> str:
    return f"{kind.called[:1].upper()}{kind.called[1:]} ({kind.number:,})"


def _short(story: CleanStory) -> str:
    looked = count(story.pictures, "picture", "pictures")
    number = sum(kind.number for kind in story.kinds)
    what = f"<strong>{number:,}</strong> {'finding' if number == 1 else 'findings'}" if number else "nothing to mend"
    html = f'<div class="hero"><p class="big">{words(looked)} looked at: {what}</p>'
    html += bullets(story.done) if story.done else ""
    html += "</div>"
    rows = [
        (
            f'<a href="#{words(kind.name)}">{words(kind.called)}</a>',
            cell(f"{kind.number:,}", kind.number),
            words(kind.mends),
        )
        for kind in story.kinds
    ]
    if rows:
        heads = [("what", ""), ("findings", "num"), ("what --fix does", "")]
        html += table(heads, rows, caption="What was found")
    return html + (bullets(story.remarks) if story.remarks else "")


def _section(kind: Kind, _: ReportData) -> str:
    several = any(len(shown.pictures) > 1 for shown in kind.shown)
    html = f'<p class="note">With --fix: {words(kind.mends)}.</p>'
    with_pictures = [shown for shown in kind.shown if shown.pictures]
    plain = [shown for shown in kind.shown if not shown.pictures]
    if with_pictures:
        html += f'<ul class="gallery{" twins" if several else ""}">{"".join(map(_card, with_pictures))}</ul>'
    if plain:
        html += f'<ul class="findings">{"".join(map(_line, plain))}</ul>'
    if kind.number > len(kind.shown):
        html += f'<p class="note">And {kind.number - len(kind.shown):,} more of this kind: `--json` lists all of them.</p>'
    return html


def _card(shown: Shown) -> str:
    images = "".join(picture(small, name) for name, small in shown.pictures)
    names = "<br>".join(words(tail(name)) for name, _ in shown.pictures)
    more = len(shown.finding.items) - len(shown.pictures)
    listed = f"<p class='name'>{names}{f'<br>and {more:,} more' if more > 0 else ''}</p>"
    return f"<li><div>{images}</div>{listed}<p>{words(_said(shown.finding), 220)}</p></li>"


def _line(shown: Shown) -> str:
    one = shown.finding
    return f"<li class='{one.severity}'>{words(one.message, 400)}<br><small>{words(one.fix, 200)}</small></li>"


def _said(finding: Finding) -> str:
    """The message without the names that stand above it."""
    said = finding.message
    for name in finding.items[:1]:
        said = said.removeprefix(f"{name}: ")
    if finding.kind in _NAMES_LAST:
        return said.split(": ", 1)[0]
    for name in finding.items[:PICTURES]:
        said = said.replace(name, name.rpartition("/")[2])
    return said
