"""The report of clean: what to show of each kind of finding, the small pictures, the page on the disk. No verb itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sightline.errors import SightlineError
from sightline.types import Dataset, Finding


def write_page(dataset: Dataset, findings: Sequence[Finding], done: tuple[str, ...], place: Path | None) -> Path:
    """Write the page and return its file: of each kind the surest findings with their pictures. `done`: what --fix did.

    `place`: a folder, or a file that ends in .html; None: a folder of the dataset's name and hash in SIGHTLINE_HOME/reports.
    """
    from sightline.data.cleaning import KINDS, by_kind
    from sightline.data.formats.names import safe
    from sightline.data.manifest import in_threads
    from sightline.data.mend import DONE
    from sightline.files import write_text
    from sightline.measure.clean_report import MOST, PICTURES, CleanStory, Kind, Shown, clean_page
    from sightline.settings import settings

    groups = by_kind(findings)
    shown = {kind: group[:MOST] for kind, group in groups.items()}
    uris = {item.name: item.uri for item in dataset.items}
    names = dict.fromkeys(name for group in shown.values() for one in group for name in one.items[:PICTURES])
    wanted = [name for name in names if name in uris]
    small = dict(zip(wanted, in_threads("Drawing the report", [uris[name] for name in wanted], _thumbnails), strict=True))
    kinds = [
        Kind(
            name=kind,
            called=KINDS[kind],
            mends=DONE.get(kind, "listed only"),
            number=len(groups[kind]),
            shown=tuple(
                Shown(one, tuple((name, small[name]) for name in one.items[:PICTURES] if name in small)) for one in group
            ),
        )
        for kind, group in shown.items()
    ]
    story = CleanStory(
        title=f"{dataset.name}: what clean found",
        pictures=len(dataset.items),
        kinds=kinds,
        done=done,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    target = place or settings().home / "reports" / f"clean-{safe(dataset.name)}-{dataset.hash[:8]}"
    page = target if target.suffix.lower() in (".html", ".htm") else target / "report.html"
    write_text(page, clean_page(story))
    return page


def _thumbnails(files: Sequence[str]) -> list[bytes]:
    """Small pictures; empty for what cannot be read."""
    from sightline.measure.thumbnails import SIDE, thumbnail
    from sightline.runtime.pixels import decode, read_picture

    found: list[bytes] = []
    for file in files:
        try:
            found.append(thumbnail(decode(read_picture(file), shorter=SIDE)))
        except SightlineError:
            found.append(b"")
    return found
