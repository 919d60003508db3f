"""The formats a dataset can be read from and written to, by name: one module each, with a constant FORMAT.

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

# name -> module; in the order in which a folder is asked what it is (data/readers.py)
FORMATS: dict[str, str] = {
    "coco": "sightline.data.formats.coco",
    "labelstudio": "sightline.data.formats.labelstudio",
    "cvat": "sightline.data.formats.cvat",
    "voc": "sightline.data.formats.voc",
    "yolo": "sightline.data.formats.yolo",
    "openimages": "sightline.data.formats.openimages",
    "imagenet": "sightline.data.formats.imagenet",
    "cifar": "sightline.data.formats.cifar",
    "parquet": "sightline.data.formats.parquet",
    "webdataset": "sightline.data.formats.webdataset",
    "imagefolder": "sightline.data.formats.huggingface",
    "csv": "sightline.data.formats.table",
    "folders": "sightline.data.formats.folders",
}


def format_named(name: str) -> Format:
    """The format of that name; UsageError names the nearest."""
    module = FORMATS.get(name.lower())
    if module is None:
        near = difflib.get_close_matches(name.lower(), FORMATS, 1)
        known = ", ".join(sorted(FORMATS))
        raise UsageError(
            f"unknown format {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"formats: {known}",
            detail={"formats": sorted(FORMATS)},
        )
    found: Format = importlib.import_module(module).FORMAT
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
