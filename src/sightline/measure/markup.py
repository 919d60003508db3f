"""Pieces of HTML for reports: words made safe, numbers made readable, tables, figures and pictures. Knows no section."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from sightline.measure.thumbnails import SIDE, data_uri
from sightline.types import Score

# control characters, and the ones that turn the direction of what follows: a file name must not rearrange the page
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def words(value: object, most: int = 0) -> str:
    """Any text as HTML: escaped, without control characters, lone surrogates shown as "?", cut to `most` letters if given."""
    clean = _UNFIT.sub("\ufffd", str(value).encode("utf-8", "replace").decode())
    if most and len(clean) > most:
        clean = clean[: most - 1] + "…"
    return escape(clean)


def percent(value: float) -> str:
    """0.8723 -> "87.2 %" (with a space that does not break); a value that is not quite 0 or 1 is never shown as such."""
    shown = f"{100 * value:.1f}"
    if shown == "100.0" and value < 1:
        shown = "> 99.9"
    elif shown == "0.0" and value > 0:
        shown = "< 0.1"
    return escape(shown.removesuffix(".0")) + "\u00a0%"


def of_hundred(value: float) -> str:
    """A share as a count out of 100, as exact as it needs to be: "87", near the ends "98.6"."""
    hundred = 100 * value
    if value in (0.0, 1.0):
        return f"{hundred:.0f}"
    if 2 <= hundred <= 98:
        return f"{hundred:.0f}"
    return f"{min(max(hundred, 0.1), 99.9):.1f}".removesuffix(".0")


def interval(score: Score) -> str:
    """ "85 to 91" out of 100."""
    return f"{of_hundred(score.low)} to {of_hundred(score.high)}"


def table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], *, caption: str, kind: str = "") -> str:
    """A table of ready HTML cells. heads: (name, class), the class "num" for numbers; the first cell heads its row."""
    top = "".join(f'<th scope="col" class="{words(cls)}">{words(name)}</th>' for name, cls in heads)
    lines = []
    for row in rows:
        cells = [f'<th scope="row">{row[0]}</th>']
        cells += [f'<td class="{words(heads[i][1])}">{cell}</td>' for i, cell in enumerate(row) if i]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = f"<caption>{words(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody>"
    # a box that scrolls by keyboard too
    box = f'<div class="scroll" tabindex="0" role="region" aria-label="{words(caption)}">'
    return f'{box}<table class="{words(kind)}">{body}</table></div>'


def cell(text: str, order: float) -> str:
    """A table cell's content that sorts by `order` instead of by its text."""
    return f'<span data-order="{order:.6g}">{text}</span>'


def figure(drawing: str, explained: str, title: str = "") -> str:
    """A drawing with the one sentence that says how to read it (`explained`: plain text)."""
    head = f"<h3>{words(title)}</h3>" if title else ""
    return f"<figure>{head}<div class='drawing'>{drawing}</div><figcaption>{words(explained)}</figcaption></figure>"


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """A list of names and values; empty values are left out."""
    shown = [f"<dt>{words(name)}</dt><dd>{words(value)}</dd>" for name, value in rows if value not in (None, "", (), {})]
    return f'<dl class="facts">{"".join(shown)}</dl>' if shown else ""


def bullets(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{words(sentence)}</li>" for sentence in sentences) + "</ul>"


def picture(small: bytes, alt: str, side: int = SIDE) -> str:
    """A small JPEG or PNG as an image inside the page; a grey box where it cannot be read."""
    uri = data_uri(small, side)
    if not uri:
        return f'<div class="missing" role="img" aria-label="{words(alt)}">no picture</div>'
    return f'<img src="{uri}" alt="{words(alt)}" decoding="async">'


def count(number: int, one: str, many: str) -> str:
    """ "1 error", "3 errors"."""
    return f"{number:,} {one if number == 1 else many}"


def tail(name: str, most: int = 44) -> str:
    """The end of a long file name: that is where files differ."""
    return name if len(name) <= most else "…" + name[1 - most :]
