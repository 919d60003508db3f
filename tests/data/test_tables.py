"""CSV tables: columns by synonyms, separators, encodings, several labels, and every row that cannot be used named."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from pictures import drawn, encoded
from sightline.data.readers import read
from sightline.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    root.mkdir()
    for index in range(8):
        (root / f"p{index}.jpg").write_bytes(encoded(drawn(index, (32, 32))))
    return root


def rows(*lines: str) -> str:
    return "\n".join(lines) + "\n"


EIGHT = [f"p{n}.jpg,{'cat' if n % 2 else 'dog'}" for n in range(8)]


def test_folder_with_a_table(folder: Path) -> None:
    (folder / "labels.csv").write_text(rows("file,label", *EIGHT))
    dataset = read(folder)
    assert (dataset.kind, dataset.task, dataset.classes, len(dataset.items)) == ("table", "binary", ("cat", "dog"), 8)
    assert read(folder / "labels.csv").hash == dataset.hash
    assert {item.truth[0].origin for item in dataset.items} == {"import:table"}


@pytest.mark.parametrize(
    ("header", "separator", "encoding"),
    [
        ("File Name,Class", ",", "utf-8"),
        ("IMAGE;Category", ";", "utf-8-sig"),
        ("path\tlabels", "\t", "utf-16"),
        ("id,image-path,Label", ",", "utf-8"),
    ],
)
def test_headers_separators_encodings(folder: Path, header: str, separator: str, encoding: str) -> None:
    front = "7," if header.startswith("id") else ""
    text = rows(header, *(front + line.replace(",", separator).replace("cat", "Kätzchen") for line in EIGHT))
    (folder / "x.csv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    dataset = read(folder)
    assert dataset.classes == ("dog", "Kätzchen")
    assert len(dataset.items) == 8


def test_several_labels(folder: Path) -> None:
    (folder / "labels.csv").write_text(rows("file,labels", "p0.jpg,cat | dog|cat", "p1.jpg,", "p2.jpg,dog", "p3.jpg,'=cat"))
    dataset = read(folder)
    assert dataset.task == "multilabel"
    assert dataset.classes == ("=cat", "cat", "dog")
    assert [item.labels for item in dataset.items] == [("cat", "dog"), (), ("dog",), ("=cat",)]
    assert dataset.failures == ()


def test_splits_and_groups(folder: Path) -> None:
    lines = [f"{line},{('training', 'Validation', '')[n % 3]},g{n // 4}" for n, line in enumerate(EIGHT)]
    (folder / "labels.csv").write_text(rows("file,label,Split,Patient ID", *lines))
    dataset = read(folder)
    assert [item.split for item in dataset.items[:3]] == ["train", "val", None]
    assert [item.group for item in dataset.items] == ["g0"] * 4 + ["g1"] * 4


def test_split_tables(folder: Path) -> None:
    (folder / "train.csv").write_text(rows("file,label", *EIGHT[:6]))
    (folder / "test.csv").write_text(rows("file,label", *EIGHT[5:]))
    dataset = read(folder)
    assert (len(dataset.part("train")), len(dataset.part("test"))) == (6, 3)
    assert len({item.name for item in dataset.items}) == 9  # p5.jpg is in both, under two names


def test_files_are_found_in_subfolders_by_stem_and_with_backslashes(folder: Path, tmp_path: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "p7.jpg").rename(folder / "deep" / "er" / "p7.jpg")
    absolute = tmp_path / "elsewhere.jpg"
    absolute.write_bytes(encoded(drawn(30)))
    lines = ["p0,cat", "p7.jpg,dog", "deep\\er\\p7.jpg,dog", f"{absolute},cat"]
    (folder / "labels.csv").write_text(rows("image_id,label", *lines))
    dataset = read(folder)
    assert {Path(item.uri).name for item in dataset.items} == {"p0.jpg", "p7.jpg", "elsewhere.jpg"}
    assert [failure.error.code for failure in dataset.failures] == ["row_repeated"]


def test_labels_that_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "truth.tsv").write_text(rows("file\tlabel", *(line.replace(",", "\t") for line in EIGHT)))
    assert len(read(folder, tmp_path / "truth.tsv").items) == 8


def test_rows_that_cannot_be_used_are_named(folder: Path) -> None:
    lines = [*EIGHT, "gone.jpg,cat", "p0.jpg,dog", "p1.jpg,dog", ",cat", ""]
    lines[4] = "p4.jpg,"
    (folder / "labels.csv").write_text(rows("file,label", *lines))
    dataset = read(folder)
    assert len(dataset.items) == 6
    found = {failure.error.code: failure for failure in dataset.failures}
    assert "row 10" in found["row_repeated"].error.message or "row 11" in found["row_repeated"].error.message
    assert "row 6 has no label" in found["label_missing"].error.message
    assert "rows 3 and 12" in found["label_conflict"].error.message
    assert [f.picture for f in dataset.failures if f.error.code == "picture_missing"] == ["gone.jpg", "row 13"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("file,labl\np0.jpg,cat\n", "no label column; columns found: 'file', 'labl'", "rename the column 'labl' to 'label'"),
        ("colour,label\nred,cat\n", "no file column", "file,label"),
        ("p0.jpg,cat\np1.jpg,dog\n", "no header line", "file,label"),
        ("file,label\n", "no rows", "file,label"),
        ("file,label\nq0.jpg,cat\nq1.jpg,dog\np0.jpg,dog\n", "2 of the 3 rows of labels.csv cannot be used", "relative to"),
        ("file,label\np0.jpg,\np1.jpg,\np2.jpg,dog\n", "2 of the 3 rows", "fill in"),
        ("file,label,split\np0.jpg,cat,trian\n", "row 2: unknown split 'trian'", "'train'"),
        ("file,label\np0.jpg,cat\np1.jpg,cat\n", "one class only", "second class"),
        ('file,label\np0.jpg,"cat\n', "no label|one class|not a readable", ""),
        ("", "no file column; columns found: none", ""),
    ],
)
def test_tables_that_make_no_sense(folder: Path, text: str, message: str, hint: str) -> None:
    (folder / "labels.csv").write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read(folder / "labels.csv")
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"PK\x05\x06 not really", "damaged"), (b"file,label\np0.jpg,\xff\xfe\n", "not UTF-8"), (b"file,label\0\n", "not a text")],
)
def test_files_that_are_no_tables(folder: Path, data: bytes, message: str) -> None:
    (folder / "labels.csv").write_bytes(data)
    with pytest.raises((DatasetError, Exception), match=message) as caught:
        read(folder / "labels.csv")
    assert caught.value.code in ("dataset_invalid", "archive_refused")  # type: ignore[attr-defined]


def test_two_fitting_tables_are_a_question(folder: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text(rows("file,label", *EIGHT))
    with pytest.raises(DatasetError, match=r"several tables.*a\.csv, b\.csv") as caught:
        read(folder)
    assert "--labels" in caught.value.hint


def test_a_flat_folder_whose_table_fits_nothing_says_why(folder: Path) -> None:
    (folder / "labels.csv").write_text("colour,label\nred,cat\n")
    with pytest.raises(DatasetError, match="no file column"):
        read(folder)


def test_old_line_ends(folder: Path) -> None:
    (folder / "labels.csv").write_bytes("\r".join(["file,label", *EIGHT]).encode())
    assert len(read(folder).items) == 8


def test_damaged_tables_end_in_our_own_errors(folder: Path) -> None:
    """400 tables with bytes changed, cut out or put in: read, or refused with a DatasetError; nothing else escapes."""
    rng = random.Random(0)
    base = rows("file,label,split", "p0.jpg,a,train", 'p1.jpg,"b",val', "p2.jpg,a|b,", "p3.jpg,b,test").encode()
    path = folder / "labels.csv"
    for _ in range(400):
        data = bytearray(base)
        for _ in range(rng.randint(1, 6)):
            spot = rng.randrange(len(data) + 1)
            data[spot : spot + rng.randint(0, 9)] = bytes(rng.choices(b",;\t\"|\n\r\0\xff'=/\\.ab", k=rng.randint(0, 3)))
        path.write_bytes(data)
        with contextlib.suppress(DatasetError):
            read(path, hashed=False)
