"""clean: say what is wrong with pictures, names, labels and parts, with a report to look at; --fix makes a mended copy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from sightline import __version__
from sightline.errors import DatasetError, NotFoundError, UsageError
from sightline.types import Dataset, Failure, Finding, Made, Record

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.data.mend import Plan


class Mended(Record):
    """What --fix did."""

    out: str = Field(default="", description="folder of the mended copy")
    name: str = Field(default="", description="name of the new version in the workspace")
    hash: str = Field(description="names the content of the new version")
    pictures: int
    left_out: dict[str, int] = Field(default_factory=dict, description="pictures left out, by the kind of finding")
    relabelled: dict[str, str] = Field(default_factory=dict, description="label -> the spelling it has now")
    renamed: dict[str, str] = Field(default_factory=dict, description="picture -> the name it has now")
    boxes: int = Field(default=0, description="boxes left out of pictures that stay")


class Cleaned(Record):
    """Everything found, how often each kind, and where the report lies."""

    findings: tuple[Finding, ...]
    counts: dict[str, int] = Field(description="kind -> number of findings")
    report: str
    pictures: int
    mended: Mended | None = None
    failures: tuple[Failure, ...] = Field(default=(), description="pictures that could not be copied by --fix")


def clean(
    data: Path,
    /,
    *,
    labels: Path | None = None,
    fix: bool = False,
    out: Path | None = None,
    into: str | None = None,
    format: str | None = None,
    drop: str = "",
    suspects: bool = True,
    report: Path | None = None,
    seed: int = 0,
) -> Cleaned:
    """Say what is wrong with pictures and labels; with --fix, make a mended copy. The originals are never touched.

    Args:
        data: Pictures, labelled or not: a folder, a table, a zip or tar, or the name of a dataset.
        labels: A CSV with the labels of the pictures in DATA, when it does not lie there.
        fix: Make a new version: unreadable and blank pictures, copies, leaks and doubled boxes left out, names and spelling
            corrected, private metadata taken out. Doubtful things are listed only.
        out: Folder for the new version.
        into: Name for the new version in the workspace, instead of a folder.
        format: How --out is written: folders, csv, coco, ...; by default what holds everything there is.
        drop: Kinds that --fix leaves out too, such as blurred,label_error,outlier.
        suspects: Look for probable label errors and outliers too, which needs pretrained weights and takes longest.
        report: Folder for report.html; by default in SIGHTLINE_HOME/reports.
        seed: Of the cross-validation that finds label errors.
    """
    from sightline.data.cleaning import look_over, ordered
    from sightline.data.manifest import with_hashes
    from sightline.data.matches import pairs
    from sightline.data.mend import chosen, plan
    from sightline.data.survey import survey
    from sightline.verbs.clean_story import write_page

    _check(fix=fix, out=out, into=into, format=format, drop=drop)
    also = chosen(drop)
    dataset = _dataset(data, labels)
    seen = survey(dataset, quality=True)
    dataset = with_hashes(dataset, seen.sha256)
    matches = pairs(seen)
    findings = look_over(dataset, seen, matches)
    if suspects:
        findings = ordered([*findings, *_suspects(dataset, findings, seed)])
    mended: Mended | None = None
    failures: tuple[Failure, ...] = ()
    if fix:
        steps = plan(dataset, seen, findings, also, matches)
        mended, failures = _mend(dataset, steps, findings, drop=also, out=out, into=into, format=format)
    page = write_page(dataset, findings, tuple(sentences(mended)) if mended else (), report)
    return Cleaned(
        findings=tuple(findings),
        counts=_counts(findings),
        report=str(page),
        pictures=len(dataset.items),
        mended=mended,
        failures=failures,
    )


def _check(*, fix: bool, out: Path | None, into: str | None, format: str | None, drop: str) -> None:
    """Wishes that cannot be met together; said before anything is computed."""
    from sightline.data.formats import format_named
    from sightline.verbs import resolve
    from sightline.verbs.mending import refuse_if_taken

    if not fix:
        given = {"--out": out, "--into": into, "--format": format, "--drop": drop}
        if wishes := [name for name, value in given.items() if value]:
            raise UsageError(f"{wishes[0]} says what to do with a mended copy", hint="add --fix, or leave it away")
        return
    if (out is None) == (into is None):
        raise UsageError("--fix makes a new version in one place", hint="say where: --out FOLDER, or --into NAME")
    if format is not None:
        format_named(format)
        if out is None:
            raise UsageError("--format is for --out: a version in the workspace has no format", hint="leave it away")
    if out is not None:
        refuse_if_taken(out)
    else:
        resolve.workspace("keeping versions of datasets")
        from sightline.store import names

        names.checked(str(into))


def _dataset(data: Path, labels: Path | None) -> Dataset:
    """What lies at `data`, as it is found; else the dataset of that name."""
    from sightline.data.found import read_as_found

    try:
        return read_as_found(data, labels)
    except NotFoundError:
        if data.expanduser().exists() or labels is not None:
            raise
    from sightline.verbs import resolve

    return resolve.dataset(data)


def _suspects(dataset: Dataset, findings: Sequence[Finding], seed: int) -> list[Finding]:
    """Probable label errors and outliers among the pictures that can be read and are not blank."""
    from sightline.data.manifest import without
    from sightline.learn import suspects

    unfit = {name for one in findings if one.kind in ("unreadable", "blank") for name in one.items}
    fit = without(dataset, unfit)
    if not fit.items:
        return []
    seen = suspects.embedded(fit)
    found = suspects.label_errors(fit, seed=seed, seen=seen) if len(dataset.classes) > 1 else []
    return [*found, *suspects.outliers(fit, seed=seed, seen=seen)]


def _mend(
    dataset: Dataset,
    steps: Plan,
    findings: Sequence[Finding],
    *,
    drop: Collection[str],
    out: Path | None,
    into: str | None,
    format: str | None,
) -> tuple[Mended, tuple[Failure, ...]]:
    from sightline.data.mend import mended
    from sightline.verbs import mending

    better = mended(dataset, steps)
    if not better.items:
        raise DatasetError("nothing would be left of the pictures", hint="look at the findings, or leave out less with --drop")
    if out is not None:
        chosen = mending.holding(better) if format is None else format
        wishes = [dataset.hash, better.hash, sorted(drop), chosen, __version__]
        key = hashlib.sha256(json.dumps(wishes).encode()).hexdigest()
        failures = mending.to_folder(better, out, chosen, key)
    else:
        private = {name for one in findings if one.kind == "private_metadata" for name in one.items}
        made = Made(verb="clean", arguments={"data": dataset.source, "drop": sorted(drop)}, sightline=__version__)
        better, failures = mending.to_workspace(dataset, better, str(into), private, made)
    done = Mended(
        out=str(out or ""),
        name=into or "",
        hash=better.hash,
        pictures=len(better.items) - (len(failures) if out is not None else 0),
        left_out=steps.counts(),
        relabelled=dict(steps.labels),
        renamed=dict(steps.names),
        boxes=sum(len(item.truth) - len(steps.truths[item.name]) for item in dataset.items if item.name in steps.truths),
    )
    return done, failures


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    from sightline.data.cleaning import by_kind

    return {kind: len(group) for kind, group in by_kind(findings).items()}


def sentences(done: Mended) -> Iterator[str]:
    """What --fix did, in words."""
    from sightline.data.cleaning import KINDS

    place = f"the folder {done.out}" if done.out else f"the dataset {done.name}"
    yield f"{done.pictures:,} pictures are in {place}; the originals are as they were"
    if done.left_out:
        yield "left out: " + ", ".join(f"{count:,} ({KINDS[kind]})" for kind, count in done.left_out.items())
    if done.boxes:
        yield f"{done.boxes:,} {'box is' if done.boxes == 1 else 'boxes are'} left out"
    if done.relabelled:
        yield "labels: " + ", ".join(f"{old} is {new} now" for old, new in list(done.relabelled.items())[:8])
    if done.renamed:
        yield f"{len(done.renamed):,} {'picture has' if len(done.renamed) == 1 else 'pictures have'} another name"


def show(result: Cleaned) -> RenderableType:
    """What was found, what --fix does about it, and what it did."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from sightline.data.cleaning import KINDS
    from sightline.data.mend import DONE

    looked = f"{result.pictures:,} pictures looked at"
    rows: list[RenderableType] = [Text(looked if result.counts else f"{looked}: nothing to mend", style="bold")]
    if result.counts:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("kind")
        table.add_column("findings", justify="right")
        for heading in ("what it is", "what --fix does"):
            table.add_column(heading)
        for kind, count in result.counts.items():
            mends = DONE.get(kind)
            table.add_row(kind, f"{count:,}", KINDS[kind], Text(mends or "listed only", style="" if mends else "dim"))
        rows += [Text(), table]
    if result.mended is not None:
        rows += [Text(), *(Text(f"- {line}") for line in sentences(result.mended))]
    if result.failures:
        first = result.failures[0]
        rows.append(
            Text(f"{len(result.failures)} could not be copied, first: {first.picture}: {first.error.message}", "yellow")
        )
    rows += [Text(), Text(f"report  {result.report}")]
    return Group(*rows)
