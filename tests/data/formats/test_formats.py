"""The contract of every format: what it holds comes back, a second round is the same bytes, hostile files do no harm."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rounds import contents, notes_of

from pictures import drawn, encoded
from sightline.data.classes import ordered
from sightline.data.formats import FORMATS, export, format_named
from sightline.data.formats.format import HOLDINGS
from sightline.data.formats.geometry import Canvas, painted
from sightline.data.formats.names import safe, stems
from sightline.data.manifest import with_hashes
from sightline.data.pictures import is_picture
from sightline.data.readers import read
from sightline.errors import DataError, DatasetError, StorageError, UsageError
from sightline.runtime.masks import mask_box, to_mask
from sightline.runtime.metadata import private
from sightline.runtime.pixels import decode
from sightline.types import Annotation, Dataset, Facts, Item, Skeleton, Trait

CLASSES = ("ant", "bee & wasp", "Käfer 2", "cat, 'big'")
SIZES = ((40, 32), (33, 47), (64, 21))
RING = ((2.5, 1.25), (20.0, 3.0), (17.125, 14.0), (4.0, 18.5))
TEXTS = (".json", ".xml", ".csv", ".txt", ".yaml", ".jsonl", ".names")
SMALL = "cifar"  # the one format that keeps neither pixels nor names


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Six drawn pictures of several sizes and formats, with a position in their EXIF."""
    root = tmp_path / "photos"
    root.mkdir()
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0)}
    found = []
    for number in range(6):
        kind = "PNG" if number == 5 else "JPEG"
        size = (32, 32) if number == 4 else SIZES[number % 3]
        path = root / f"bild {number}é.{'png' if number == 5 else 'jpg'}"
        path.write_bytes(encoded(drawn(number, size), kind, exif=exif))
        found.append(path)
    return found


def truth(number: int, holds: frozenset[str], traits: frozenset[Trait] = frozenset()) -> tuple[Annotation, ...]:
    """What is said about picture `number`: as much as the format can hold; nothing about picture 5 where it can hold that."""
    label, other = CLASSES[number % 4], CLASSES[(number + 1) % 4]
    if number == 5 and "unlabelled" in holds and "several" in holds:
        return ()
    if "boxes" not in holds:
        return tuple(Annotation(label=one) for one in ([label, other] if "several" in holds else [label]))
    marks = [Annotation(label=label, box=(0.0, 1.5, 12.125 + number, 20.0), text="Nº 5" if "text" in holds else None)]
    if "polygons" in holds:
        marks.append(Annotation(label=other, box=(2.5, 1.25, 20.0, 18.5), polygon=RING))
    if "keypoints" in holds:
        points = ((2.0, 3.0), (8.5, 7.25))
        marks.append(Annotation(label=other, box=(1.0, 2.0, 9.0, 8.0), keypoints=points))
        if "hidden" in holds:
            marks.append(
                Annotation(label=other, box=(1.0, 2.0, 9.0, 8.0), keypoints=((0.0, 0.0), points[1]), visibility=(0, 1))
            )
    width, height = (32, 32) if number == 4 else SIZES[number % 3]
    if "masks" in holds:
        pixels = np.zeros((height, width), bool)
        pixels[3:9, 4:12] = pixels[5:15, 20] = pixels[3, 3] = True
        marks.append(Annotation(label=label, box=mask_box(pixels), mask=to_mask(pixels)))
    if "parts" in holds:
        rings = (RING, ((22.0, 4.0), (30.0, 4.0), (30.0, 9.5)))
        mask = painted(Canvas(width, height, (width, height)), rings)
        marks.append(Annotation(label=label, box=(2.5, 1.25, 30.0, 18.5), rings=rings, mask=mask))
    for trait in sorted(traits):
        marks.append(Annotation(label=label, box=(1.0, 1.0, 8.0, 9.0), traits=(trait,)))
    if "labels" in holds and number % 2:
        marks.append(Annotation(label=CLASSES[(number + 2) % 4]))
    return tuple(marks)


def made(photos: list[Path], name: str) -> Dataset:
    """A dataset that fills all that the format holds."""
    format = format_named(name)
    holds = format.holds | ({"hidden"} if "skeletons" in format.holds else set())
    items = [
        Item(
            uri=str(path),
            name=path.name,
            truth=truth(number, holds, format.traits),
            split=("train", "val", "test")[number % 3] if "splits" in holds else None,
            group=f"g{number // 2}" if "groups" in holds else None,
            facts=Facts(source=f"https://example.org/{number}", licence="CC0-1.0", author="Ana") if "facts" in holds else None,
        )
        for number, path in enumerate(photos)
    ]
    task = "detection" if "boxes" in holds else "multilabel" if "several" in holds else "multiclass"
    skeletons = {one: Skeleton(points=("nose", "tail")) for one in CLASSES} if "skeletons" in holds else {}
    return with_hashes(Dataset(name="d", task=task, classes=ordered(CLASSES), items=tuple(items), skeletons=skeletons))


def said(dataset: Dataset) -> list[tuple[Any, ...]]:
    def places(mark: Annotation) -> tuple[Any, ...]:
        outline = (mark.polygon or (), mark.rings or (), mark.mask.counts if mark.mask else "")
        points = (mark.keypoints or (), mark.visibility or ())
        return (mark.label, mark.box or (), outline, points, mark.traits, mark.text or "")

    rows = []
    for item in dataset.items:
        stem = item.name.rpartition("/")[2].rpartition(".")[0]
        rows.append((stem, sorted(map(places, item.truth)), item.split, item.group, item.facts))
    return sorted(rows, key=repr)


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"around/{file.relative_to(folder)}")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_held_comes_back(name: str, photos: list[Path], tmp_path: Path) -> None:
    given = made(photos, name)
    assert export(given, name, tmp_path / "out") == ()
    found = read(tmp_path / "out")
    assert found.failures == ()
    assert (found.kind, found.task) == ({"csv": "table"}.get(name, name), given.task)
    assert set(found.classes) == set(given.classes)
    assert found.skeletons == given.skeletons
    if name == SMALL:
        assert sorted((item.labels, item.split) for item in found.items) == sorted(
            (item.labels, item.split) for item in given.items
        )
    else:
        assert said(found) == said(given)
        before = {Path(item.uri).stem: decode(Path(item.uri).read_bytes()).tobytes() for item in given.items}
        for item in found.items:
            stem = item.name.rpartition("/")[2].rpartition(".")[0]
            assert decode(Path(item.uri).read_bytes()).tobytes() == before[stem]
    assert export(found, name, tmp_path / "again") == ()
    if name != SMALL:  # its pictures have no names, so their order is not kept
        assert contents(tmp_path / "again") == contents(tmp_path / "out")
    assert read(tmp_path / "out", format=name).hash == found.hash
    if name != "webdataset":  # archives inside archives stay closed
        assert said(read(zipped(tmp_path / "out"))) == said(found)


@pytest.mark.parametrize("name", FORMATS)
def test_no_private_metadata_leaves_unless_it_is_wanted(name: str, photos: list[Path], tmp_path: Path) -> None:
    given = made(photos, name)
    assert all("GPS position" in private(path.read_bytes()) for path in photos)
    export(given, name, tmp_path / "out")
    assert not any(b"Exif" in data for data in contents(tmp_path / "out").values())
    assert all(private(Path(item.uri).read_bytes()) == () for item in read(tmp_path / "out").items)
    if name != SMALL:
        export(given, name, tmp_path / "kept", keep_metadata=True)
        assert all("GPS position" in private(Path(item.uri).read_bytes()) for item in read(tmp_path / "kept").items)


# --- hostile files

TOKENS = (
    "NaN",
    "-1e999",
    "1" * 5000,
    "../../../secret.jpg",
    "/etc/passwd",
    "",
    "\0",
    "null",
    "[]",
    "🙂",
    "-7",
    "0",
    "\ud7ff",
    "true",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    float("inf"),
    10**400,
    "",
    "../../secret.jpg",
    "NaN",
    [],
    {},
    [[]],
    [1],
)


def mutated(value: Any, rng: random.Random, rate: float) -> Any:
    """A JSON value with parts replaced by others of the wrong kind."""
    if rng.random() < rate:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        return {key: mutated(part, rng, rate) for key, part in value.items() if rng.random() > rate / 4}
    if isinstance(value, list):
        return [mutated(part, rng, rate) for part in value]
    return value


def damaged(data: bytes, suffix: str, rng: random.Random) -> bytes:
    """One of many ways to spoil a file."""
    way = rng.randrange(6) if data else 5
    if way == 0:
        return data[: rng.randrange(len(data) + 1)]
    if way == 1:
        spoiled = bytearray(data)
        for _ in range(rng.randrange(1, 9)):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        return bytes(spoiled)
    if suffix == ".json" and way < 5:
        return json.dumps(mutated(json.loads(data), rng, rng.choice((0.02, 0.1, 0.3)))).encode()
    if suffix in TEXTS:
        words = data.decode().split(" " if b" " in data else ",")
        for _ in range(rng.randrange(1, 4)):
            words[rng.randrange(len(words))] = rng.choice(TOKENS)
        return (" " if b" " in data else ",").join(words).encode(errors="replace")
    middle = rng.randrange(len(data) + 1)
    return data[:middle] + rng.randbytes(rng.randrange(200)) + data[middle + rng.randrange(200) :]


def harmless(folder: Path, name: str | None, root: Path) -> Dataset | None:
    """Reading gives a dataset whose boxes lie in its pictures and whose files lie where they may, or a DataError."""
    try:
        found = read(folder, format=name)
    except DataError:
        return None
    for item in found.items:
        assert Path(item.uri).resolve().is_relative_to(root)
        for mark in item.truth:
            if mark.box is not None:
                assert 0 <= mark.box[0] < mark.box[2] <= 64
                assert 0 <= mark.box[1] < mark.box[3] <= 64
            for x, y in (*(mark.polygon or ()), *(mark.keypoints or ())):
                assert 0 <= x <= 64
                assert 0 <= y <= 64
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_documents(name: str, photos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(made(photos, name), name, out)
    whole = contents(out)
    documents = [file for file in whole if not is_picture(file)]
    rng = random.Random(5)
    for _ in range(25 if documents else 0):
        file = rng.choice(documents)
        (out / file).write_bytes(damaged(whole[file], Path(file).suffix, rng))
        harmless(out, name, tmp_path.parent)
        harmless(out, None, tmp_path.parent)
        (out / file).write_bytes(whole[file])


NONSENSE = {
    "empty": b"",
    "zeros": bytes(10 << 20),
    "brackets": b"[" * (10 << 20),
    "braces": b'{"a":' * (2 << 20),
    "tags": b"<annotations>" * (1 << 20),
    "numbers": b"1 " * (5 << 20),
    "commas": b"ImageID,LabelName\n" + b"," * (10 << 20),
    "one line": b"a" * (10 << 20),
}


@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize("name", [name for name in FORMATS if name not in (SMALL, "folders")])
def test_ten_megabytes_of_nonsense(name: str, kind: str, photos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(made(photos, name), name, out)
    documents = [file for file in contents(out) if not is_picture(file)]
    (out / documents[0]).write_bytes(NONSENSE[kind])
    harmless(out, name, tmp_path.parent)
    harmless(out, None, tmp_path.parent)


@pytest.mark.parametrize("name", FORMATS)
def test_missing_pictures_are_named(name: str, photos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(made(photos, name), name, out)
    files = sorted(path for path in out.rglob("*") if is_picture(path.name))
    if not files:
        pytest.skip("its pictures lie inside its documents")
    for path in files[:2]:
        path.unlink()
    found = read(out, format=name)
    assert len(found.items) == 4
    if name not in ("folders", "imagenet", "yolo"):  # which have no list of their pictures
        assert found.failures
    for path in files[2:]:
        path.unlink()
    with pytest.raises(DatasetError):
        read(out, format=name)


# --- writing


def test_names_that_every_system_takes(tmp_path: Path) -> None:
    names = (
        "red/1.jpg",
        "blue/1.jpg",
        "x/../../up.jpg",
        "CON.jpg",
        "A.jpg",
        "a.jpg",
        ".hidden.jpg",
        "a:b?.jpg",
        "long" * 99 + ".jpg",
    )
    found = stems(names)
    assert len({stem.casefold() for stem in found}) == len(names)
    assert found[:4] == ["red-1", "blue-1", "up", "_CON"]
    assert all(stem == safe(stem) and "/" not in stem and len(stem.encode()) <= 120 for stem in found)
    assert stems(found) == found
    assert len(set(stems(["a.jpg"] * 5 + ["a-2.jpg"]))) == 6


def test_what_has_no_place_is_said_once(photos: list[Path], tmp_path: Path) -> None:
    given = made(photos, "coco")
    notes = notes_of(lambda: export(given, "voc", tmp_path / "voc"))
    assert "Pascal VOC has no place for polygons: 10 polygons are left out; their boxes stay" in notes
    assert any("groups" in text for text in notes)
    notes = notes_of(lambda: export(given, "csv", tmp_path / "csv"))
    assert any("no place for boxes" in text for text in notes)
    assert set(HOLDINGS) >= format_named("csv").holds


def test_refused_when_nothing_would_be_left(photos: list[Path], tmp_path: Path) -> None:
    plain = made(photos, "csv")
    with pytest.raises(DatasetError, match="nothing of d would be left as Pascal VOC"):
        export(plain, "voc", tmp_path / "out")
    with pytest.raises(DatasetError, match="one label a picture"):
        export(plain, "folders", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_names_the_nearest(photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        export(made(photos, "coco"), "cocoa", tmp_path / "out")
    assert "'coco'" in error.value.hint
    with pytest.raises(UsageError):
        read(photos[0].parent, format="yolov5")


def test_whole_or_nothing(photos: list[Path], tmp_path: Path) -> None:
    given = made(photos, "coco")
    photos[0].unlink()
    photos[1].write_bytes(photos[2].read_bytes())
    failures = export(given, "coco", tmp_path / "out")
    assert sorted(failure.error.code for failure in failures) == ["not_found", "picture_unreadable"]
    assert len(read(tmp_path / "out").items) == 4
    with pytest.raises(StorageError, match="exists already"):
        export(given, "coco", tmp_path / "out")
    shutil.rmtree(photos[0].parent)
    with pytest.raises(DatasetError, match="none of the 6 pictures"):
        export(given, "coco", tmp_path / "out", replace=True)
    assert len(read(tmp_path / "out").items) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", [name for name in FORMATS if "labels" in format_named(name).holds and name != "folders"])
def test_a_class_of_two_lines_is_one_class(name: str, photos: list[Path], tmp_path: Path) -> None:
    labels = ("ant\nbrown", "bee", "cat")
    items = [
        Item(uri=str(path), name=f"{number}.jpg", truth=(Annotation(label=labels[number % 3]),), split="train")
        for number, path in enumerate(photos)
    ]
    given = with_hashes(Dataset(name="d", task="multiclass", classes=labels, items=tuple(items)))
    assert export(given, name, tmp_path / "out") == ()
    found = [item.labels[0].replace("\n", " ") for item in read(tmp_path / "out").items]
    assert sorted(found) == ["ant brown"] * 2 + ["bee"] * 2 + ["cat"] * 2
