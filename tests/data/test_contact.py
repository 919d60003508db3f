"""Contact sheets: places, sizes, captions, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import drawn, encoded
from sightline.data.contact import contact_sheet
from sightline.errors import UsageError


def test_rows_columns_and_gap() -> None:
    sheet = contact_sheet([drawn(seed) for seed in range(7)], columns=3, cell=40, gap=2)
    assert sheet.size == (2 + 3 * 42, 2 + 3 * 42)
    assert sheet.mode == "RGB"


def test_fewer_pictures_than_columns() -> None:
    assert contact_sheet([drawn()], columns=8, cell=40, gap=0).size == (40, 40)


def test_paths_arrays_and_pictures_look_alike(tmp_path: Path) -> None:
    picture = drawn(size=(60, 60))
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture, "PNG"))
    sheet = np.asarray(contact_sheet([picture, path, str(path), np.asarray(picture)], columns=4, cell=60, gap=0))
    parts = np.split(sheet, 4, axis=1)
    assert all(np.array_equal(part, np.asarray(picture)) for part in parts)


def test_wide_pictures_are_centred_whole() -> None:
    sheet = np.asarray(contact_sheet([Image.new("RGB", (80, 40), (200, 0, 0))], cell=40, gap=0))
    assert (sheet[:9] == 255).all()
    assert (sheet[-9:] == 255).all()
    assert (sheet[20] == (200, 0, 0)).all()


def test_captions_add_a_strip_with_ink() -> None:
    plain = contact_sheet([drawn()], cell=60, gap=0)
    sheet = contact_sheet([drawn()], cell=60, gap=0, captions=["a rather long name of a class"])
    assert sheet.height > plain.height
    assert np.asarray(sheet)[60:].min() < 120
    dark = contact_sheet([drawn()], cell=60, gap=0, captions=["x"], ground=(0, 0, 0))
    assert np.asarray(dark)[60:].max() > 150


@pytest.mark.parametrize(
    ("pictures", "options"),
    [([], {}), ([drawn()], {"columns": 0}), ([drawn()], {"cell": 3}), ([drawn()], {"captions": ["a", "b"]})],
)
def test_refuses_what_makes_no_sheet(pictures: list[Image.Image], options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        contact_sheet(pictures, **options)  # type: ignore[arg-type]
