"""The formats a dataset can be read from and written to, by name: each a constant `Format` of its module.

Knows no pictures' contents and no task; which format lies in a folder is decided in data/readers.py.
"""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from sightline.data.formats.format import Export, Format, fitted
from sightline.errors import DatasetError, UsageError
from sightline.files import new_folder
from sightline.progress import note
from sightline.types import Dataset, Failure

__all__ = ["FORMATS", "Export", "Format", "export", "format_named"]

# name -> module and its constant; in the order in which a folder is asked what it is (data/readers.py)
FORMATS: dict[str, str] = {
    "coco": "sightline.data.formats.coco:FORMAT",
    "labelstudio": "sightline.data.formats.labelstudio:FORMAT",
    "cvat": "sightline.data.formats.cvat:FORMAT",
    "voc": "sightline.data.formats.voc:FORMAT",
    "yolo": "sightline.data.formats.yolo:FORMAT",
    "openimages": "sightline.data.formats.openimages:FORMAT",
    "imagenet": "sightline.data.formats.imagenet:FORMAT",
    "cifar": "sightline.data.formats.cifar:FORMAT",
    "parquet": "sightline.data.formats.parquet:FORMAT",
    "webdataset": "sightline.data.formats.webdataset:FORMAT",
    "imagefolder": "sightline.data.formats.huggingface:FORMAT",
    "csv": "sightline.data.formats.table:FORMAT",
    "folders": "sightline.data.formats.folders:FORMAT",
}


def format_named(name: str) -> Format:
    """The format of that name; UsageError names the nearest."""
    place = FORMATS.get(name.lower())
    if place is None:
        near = difflib.get_close_matches(name.lower(), FORMATS, 1)
        known = ", ".join(sorted(FORMATS))
        raise UsageError(
            f"unknown format {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"formats: {known}",
            detail={"formats": sorted(FORMATS)},
        )
    module, _, constant = place.partition(":")
    found: Format = getattr(importlib.import_module(module), constant)
    return found


def export(
    dataset: Dataset, format: str, out: Path | str, *, keep_metadata: bool = False, replace: bool = False
) -> tuple[Failure, ...]:
    """Write the dataset in that format into the new folder `out`: all of it or nothing. Returns the pictures left out, and why.

    Private metadata is taken out of the pictures unless `keep_metadata`. What the format has no place for is said once
    (`progress.note`). Raises UsageError for an unknown format, DatasetError when nothing would be left, StorageError.
    """
    chosen = format_named(format)
    reduced, notes = fitted(dataset, chosen)
    for text in notes:
        note(text)
    with new_folder(Path(out).expanduser().absolute(), replace=replace) as part:
        work = Export(reduced, part, keep_metadata=keep_metadata)
        chosen.write(work)
        if not work.written:
            first = f"; first: {work.failures[0].error.message}" if work.failures else ""
            raise DatasetError(
                f"none of the {len(reduced.items):,} pictures of {dataset.name} could be written{first}",
                hint="check that the files are still where they were read",
            )
    return tuple(work.failures)
