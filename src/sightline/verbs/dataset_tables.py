"""Versions of datasets as tables for people: the list, one version, how two differ. Knows records only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightline.store.records import UNSPLIT, Difference, Move, Said, Version

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

LISTED = 50  # rows that a person is shown; --json has all


def list_of(versions: Sequence[Version]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    if not versions:
        return Text("the workspace holds no datasets yet; `sightline collect SOURCE --into NAME` brings one")
    table = _table("name", "hash", ">pictures", ">train", ">val", ">test", ">classes", "made by", "when")
    for version in versions[:LISTED]:
        name = Text(", ".join(version.names), "bold") if version.names else Text(version.name, "dim")
        sizes = [f"{version.sizes[part]:,}" if part in version.sizes else "" for part in ("train", "val", "test")]
        table.add_row(
            name,
            version.hash[:12],
            f"{version.pictures:,}",
            *sizes,
            str(len(version.classes)),
            version.made.verb if version.made else "",
            _when(version.created),
        )
    if len(versions) <= LISTED:
        return table
    return Group(table, Text(f"and {len(versions) - LISTED} older ones (--json has all)", "dim"))


def one(result: Version, history: Sequence[Move], said: Sequence[Said]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    parts = [part for part in ("train", "val", "test", UNSPLIT) if part in result.sizes]
    facts = _table("", "", heading=False)
    facts.add_row("hash", result.hash)
    if result.names:
        facts.add_row("names", Text(", ".join(result.names)))
    facts.add_row("task", result.task + (f", {result.positive} means yes" if result.positive else ""))
    facts.add_row(
        "pictures", f"{result.pictures:,}" + (f", {result.failed:,} left out when it was read" if result.failed else "")
    )
    if result.source:
        facts.add_row("from", Text(result.source))
    if result.made:
        wishes = " ".join(f"{name}={value}" for name, value in result.made.arguments.items())
        facts.add_row("made by", Text(f"{result.made.verb} {wishes}".strip()))
        facts.add_row("when", _when(result.created))
    for parent in result.parents:
        facts.add_row("made from", parent[:12])
    table = _table("class", *(f">{part}" for part in parts))
    total = Counter({label: sum(result.counts.get(part, {}).get(label, 0) for part in parts) for label in result.classes})
    for label, _ in total.most_common(LISTED):
        table.add_row(Text(label), *(f"{result.counts.get(part, {}).get(label, 0):,}" for part in parts))
    table.add_row(Text("pictures", "dim"), *(Text(f"{result.sizes[part]:,}", "dim") for part in parts))
    rows: list[RenderableType] = [Text(", ".join(result.names) or result.name, "bold"), facts, Text(), table]
    if len(result.classes) > LISTED:
        rows.append(Text(f"the {LISTED} largest of {len(result.classes):,} classes (--json has all)", "dim"))
    if said:
        answers = _table("model", ">answered", ">as labelled")
        for row in said:
            share = f"{row.agree / row.labelled:.1%} of {row.labelled:,}" if row.labelled else "no labels"
            answers.add_row(row.model, f"{row.pictures:,}", share)
        rows += [Text(), Text("what models said (predict --keep); the truth is not touched by it", "dim"), answers]
    if len(history) > 1:
        moves = _table("when", "moved to", "by")
        for move in reversed(history[-LISTED:]):
            moves.add_row(_when(move.moved), move.target[:12], Text(move.why))
        rows += [Text(), Text("the name's moves, the last one first", "dim"), moves]
    return Group(*rows)


_SAYS = {
    "added": "added",
    "removed": "removed",
    "relabelled": "relabelled",
    "moved": "in another split",
    "replaced": "other content, same name",
    "renamed": "other name, same content",
    "redescribed": "other group or facts",
}
_MOST = 10  # examples of each kind that a person is shown


def changes(result: Difference) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    table = _table("what changed", ">pictures")
    for kind, count in result.counts.items():
        if count:
            table.add_row(_SAYS[kind], f"{count:,}")
    table.add_row(Text("the same in both", "dim"), Text(f"{result.same:,}", "dim"))
    rows: list[RenderableType] = [Text(f"{result.old[:12]} -> {result.new[:12]}", "bold"), table]
    for kind, count in result.counts.items():
        if not count:
            continue
        listed = [change for change in result.changes if change.kind == kind][:_MOST]
        examples = _table(_SAYS[kind], "before", "after")
        for change in listed:
            examples.add_row(Text(change.name), Text(change.before), Text(change.after))
        more = [Text(f"and {count - len(listed):,} more", "dim")] if count > len(listed) else []
        rows += [Text(), examples, *more]
    return Group(*rows)


def _table(*headings: str, heading: bool = True) -> Table:
    """A plain table; a heading that begins with > stands right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=heading)
    for one in headings:
        table.add_column(one.lstrip(">"), justify="right" if one.startswith(">") else "left", overflow="fold")
    return table


def _when(created: str) -> str:
    return created[:16].replace("T", " ")
