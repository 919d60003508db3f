"""Parquet with pictures in it: as the hub keeps data sets, without its metadata, broken files, many rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rounds import contents, dataset, pictures, said, there_and_back

from pictures import drawn, encoded
from sightline.data.formats import export, parquet
from sightline.data.readers import read
from sightline.errors import DatasetError, MissingExtraError
from sightline.settings import settings

arrow = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

JPEG = encoded(drawn(0, (40, 32)))
IMAGE = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "detection"])
@pytest.mark.parametrize("splits", [(None,), ("train", None, "test", "val")])
def test_there_and_back(tmp_path: Path, task, splits):
    given = dataset(pictures(tmp_path / "in"), task=task, splits=splits, rich=True)
    found = there_and_back(given, "parquet", tmp_path / "out")
    assert said(found) == said(given)
    assert (found.task, found.classes) == (given.task, given.classes)


def test_the_hub_understands_what_is_written(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in"), splits=("train", "val"))
    export(given, "parquet", tmp_path / "out")
    names = [f"data/{split}-00000-of-00001.parquet" for split in ("train", "val")]
    assert sorted(contents(tmp_path / "out")) == names
    schema = pq.read_schema(tmp_path / "out" / names[0])
    assert schema.field("image").type == IMAGE
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"_type": "ClassLabel", "names": ["blue", "green", "red"]}


def test_files_of_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet, "SHARD", 1000)
    given = dataset(pictures(tmp_path / "in", 5))
    export(given, "parquet", tmp_path / "out")
    names = sorted(contents(tmp_path / "out"))
    assert names[0] == f"data/all-00000-of-{len(names):05d}.parquet"
    assert len(names) > 1
    assert said(read(tmp_path / "out")) == said(given)


def write(path: Path, rows: list[dict], features: dict | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = arrow.Table.from_pylist(rows)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **options)
    return path


def picture(number: int) -> dict:
    return {"bytes": encoded(drawn(number, (40, 32))), "path": f"{number}.jpg"}


def test_words_numbers_and_lists(tmp_path: Path):
    write(tmp_path / "words/train.parquet", [{"image": picture(n), "label": "cat" if n else "dog"} for n in range(2)])
    assert [item.labels for item in read(tmp_path / "words").items] == [("dog",), ("cat",)]
    write(tmp_path / "numbers/0000.parquet", [{"img": picture(n)["bytes"], "label": n} for n in range(2)])
    found = read(tmp_path / "numbers").items
    assert [(item.name, item.labels) for item in found] == [("0000-000000.jpg", ("0",)), ("0000-000001.jpg", ("1",))]
    write(tmp_path / "lists/a.parquet", [{"image": picture(n), "tags": ["x", "y"][: n + 1]} for n in range(2)])
    found = read(tmp_path / "lists")
    assert (found.task, [item.labels for item in found.items]) == ("multilabel", [("x",), ("x", "y")])


def test_cifar_100_of_the_hub(tmp_path: Path):
    fine = {"names": [f"fine {n}" for n in range(4)], "_type": "ClassLabel"}
    coarse = {"names": ["big", "small"], "_type": "ClassLabel"}
    rows = [{"img": picture(n), "fine_label": n, "coarse_label": n % 2} for n in range(4)]
    path = tmp_path / "cifar100/test-00000-of-00001.parquet"
    write(path, rows, {"img": {"_type": "Image"}, "fine_label": fine, "coarse_label": coarse})
    found = read(tmp_path)
    assert found.classes == ("fine 0", "fine 1", "fine 2", "fine 3")
    assert {item.split for item in found.items} == {"test"}
    assert read(path).hash == found.hash  # the file itself


def test_objects_with_named_categories(tmp_path: Path):
    category = {"feature": {"names": ["ant", "bee"], "_type": "ClassLabel"}, "_type": "List"}
    rows = [{"image": picture(0), "objects": {"bbox": [[1.0, 2.0, 10.0, 12.0]], "category": [1]}}]
    write(tmp_path / "train.parquet", rows, {"image": {"_type": "Image"}, "objects": {"category": category}})
    found = read(tmp_path)
    assert (found.task, found.classes) == ("detection", ("ant", "bee"))
    assert [(mark.label, mark.box) for mark in found.items[0].truth] == [("bee", (1, 2, 11, 14))]


def test_rows_that_make_no_sense_are_left_out(tmp_path: Path):
    images = [picture(0), picture(1), {"bytes": b"no picture", "path": "x"}, {"bytes": None, "path": "/etc/passwd"}, None]
    images += [picture(2) | {"path": "../../up.jpg"}, picture(3)]
    rows = [{"image": image, "label": number} for image, number in zip(images, (0, 1, 0, 0, 0, 1, 99), strict=True)]
    label = {"names": ["ant", "bee"], "_type": "ClassLabel"}
    write(tmp_path / "train.parquet", rows, {"image": {"_type": "Image"}, "label": label})
    found = read(tmp_path)
    assert [(item.name, item.labels) for item in found.items] == [
        ("0.jpg", ("ant",)),
        ("1.jpg", ("bee",)),
        ("up.jpg", ("bee",)),
    ]
    codes = sorted(failure.error.code for failure in found.failures)
    assert codes == ["label_unknown", "picture_format", "picture_missing", "picture_missing"]


def test_text_that_is_not_utf_8(tmp_path: Path):
    texts = arrow.array([b"cat", b"\xff\xfe", b"dog"]).view(arrow.string())
    images = arrow.array([picture(n) for n in range(3)], IMAGE)
    pq.write_table(arrow.table({"image": images, "label": texts}), tmp_path / "train.parquet")
    found = read(tmp_path)
    assert [item.labels for item in found.items] == [("cat",), ("dog",)]
    assert [failure.error.code for failure in found.failures] == ["row_broken"]


@pytest.mark.parametrize("metadata", [b"{broken", b"[1]", b'{"info": 3}', b'{"info": {"features": {"image": 3, "label": []}}}'])
def test_metadata_that_make_no_sense_are_passed_over(tmp_path: Path, metadata: bytes):
    table = arrow.Table.from_pylist([{"image": picture(n), "label": n} for n in range(2)])
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), tmp_path / "a.parquet")
    assert read(tmp_path).classes == ("0", "1")


def test_a_broken_row_group_is_left_out_and_the_next_one_read(tmp_path: Path):
    rows = [{"image": picture(n), "label": n % 2} for n in range(6)]
    path = write(tmp_path / "train.parquet", rows, row_group_size=2, compression="zstd", use_dictionary=False)
    column = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = (
        b"\xff" * column.total_compressed_size
    )
    path.write_bytes(data)
    found = read(tmp_path)
    assert [item.name for item in found.items] == ["0.jpg", "1.jpg", "4.jpg", "5.jpg"]
    assert ["group 2" in failure.error.message for failure in found.failures] == [True]


def test_files_that_cannot_be_read(tmp_path: Path):
    good = write(tmp_path / "d/train.parquet", [{"image": picture(n), "label": n} for n in range(2)]).read_bytes()
    for number, data in enumerate((good[:-20], good[:100], b"PAR1" + b"\xff" * 5000 + b"PAR1", good[:50] + good[60:])):
        (tmp_path / f"d/broken-{number}.parquet").write_bytes(data)
    found = read(tmp_path / "d")
    assert [item.name for item in found.items][:2] == ["0.jpg", "1.jpg"]
    assert len(found.failures) >= 3


@pytest.mark.parametrize("stored", [True, False])
def test_a_small_file_that_unpacks_to_gigabytes(tmp_path: Path, stored: bool):
    """One value that a thousand rows name: refused after the first 50 MB, and nothing of it stays in the cache."""
    value = arrow.array([JPEG + bytes(2_000_000)], arrow.binary())
    images = arrow.DictionaryArray.from_arrays(arrow.array([0] * 1000, arrow.int32()), value)
    table = arrow.table({"image": images, "label": arrow.array(range(1000))})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", store_schema=stored)
    assert (tmp_path / "a.parquet").stat().st_size < 20_000
    with pytest.raises(DatasetError, match="unpacks to more than it may"):
        read(tmp_path)
    assert list((settings().cache / "containers").iterdir()) == []


def test_nothing_that_can_be_read(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"\xff" * 5000 + b"PAR1")
    with pytest.raises(DatasetError, match="no Parquet"):
        read(tmp_path)
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(DatasetError, match="no Parquet"):
        read(tmp_path, format="parquet")


def test_a_table_without_pictures(tmp_path: Path):
    write(tmp_path / "a.parquet", [{"text": "hello", "label": 1}])
    with pytest.raises(DatasetError, match="columns: text, label"):
        read(tmp_path)


def test_pictures_beside_are_not_passed_over(tmp_path: Path):
    for name in ("cat", "dog"):
        pictures(tmp_path / name, 2)
    write(tmp_path / "features.parquet", [{"text": "hello"}])
    assert read(tmp_path).kind == "folders"


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "a.parquet", [{"image": picture(n), "label": n} for n in range(2)])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError) as caught:
        read(tmp_path)
    assert "sightline[data]" in caught.value.hint


def test_ten_thousand_rows_once_and_again(tmp_path: Path):
    rows = [{"image": {"bytes": JPEG, "path": None}, "label": number % 10} for number in range(10_000)]
    write(tmp_path / "train.parquet", rows, row_group_size=1000)
    assert len(read(tmp_path, hashed=False).items) == 10_000
    assert len(read(tmp_path, hashed=False).items) == 10_000
