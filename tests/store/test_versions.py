"""Versions of datasets: what goes in comes out, one content is one version, found by name and hash, nothing half-written."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from madeup import dataset, picture
from pictures import class_folders
from sightline.data.manifest import manifest_hash
from sightline.data.readers import read
from sightline.errors import DatasetError, NotFoundError, UsageError
from sightline.store import bulk, datasets, names
from sightline.store.blobs import blobs
from sightline.store.database import Database
from sightline.store.schema import items, members
from sightline.types import Annotation, Dataset, ErrorInfo, Facts, Failure, Item, Made, Mask, Skeleton

MADE = Made(verb="collect", arguments={"source": "photos/", "limit": 3}, sightline="0.1.0")


def everything() -> Dataset:
    """A dataset with every kind of truth and all that a picture can carry."""
    box = Annotation(label="cat", box=(1.5, 2.25, 30.125, 40.0), origin="human:ana")
    outline = Annotation(label="dog", polygon=((0.0, 1.0), (2.5, 3.0), (4.0, 5.0)), score=0.75)
    points = Annotation(label="dog", keypoints=((1.0, 2.0),), text="Würfel 木")
    plain = picture("none.jpg", None)
    rich = plain.model_copy(update={"name": "b/ü 木.jpg", "truth": (box, outline, points), "split": "train", "group": "clip"})
    facts = Facts(source="https://example.org/a.jpg", licence="CC BY 4.0", author="Ana", consent="yes, 2026-01-02")
    several = tuple(Annotation(label=label, origin="human:ben") for label in ("dog", "cat"))
    return Dataset(
        name="all kinds",
        task="detection",
        classes=("cat", "dog"),
        items=(
            rich,
            plain,
            plain.model_copy(update={"name": "several.jpg", "truth": several, "split": "val", "facts": facts}),
            plain.model_copy(update={"name": "two.jpg", "truth": (several[0], box), "split": "test"}),
        ),
        positive="cat",
        source="/somewhere",
        kind="coco",
        failures=(Failure(picture="x.jpg", error=ErrorInfo(code="picture_unreadable", message="broken")),),
    )


def test_what_goes_in_comes_out(db: Database) -> None:
    given = everything()
    named = datasets.add(db, given, MADE)
    assert named == manifest_hash(given.items)
    ordered = tuple(sorted(given.items, key=lambda item: item.name))
    assert datasets.get(db, named) == given.model_copy(update={"items": ordered, "hash": named})
    version = datasets.summary(db, named[:8])
    assert (version.hash, version.task, version.classes, version.positive) == (named, "detection", ("cat", "dog"), "cat")
    assert version.sizes == {"train": 1, "val": 1, "test": 1, "unsplit": 1}
    assert version.counts == {
        "train": {"cat": 1, "dog": 1},
        "val": {"cat": 1, "dog": 1},
        "test": {"cat": 1, "dog": 1},
        "unsplit": {},
    }
    assert (version.pictures, version.failed, version.made, version.kind) == (4, 1, MADE, "coco")


def test_items_that_come_out_can_be_changed_like_others(db: Database) -> None:
    named = datasets.add(db, dataset(picture("a.jpg"), picture("b.jpg")), MADE)
    one, other = datasets.get(db, named).items
    changed = one.model_copy(update={"split": "val"})
    assert (changed.split, one.split) == ("val", None)
    assert one.model_dump() == picture("a.jpg").model_dump()
    assert Item.model_validate_json(other.model_dump_json()) == other


def test_the_same_version_twice_is_one(db: Database) -> None:
    first = datasets.add(db, dataset(picture("a.jpg"), picture("b.jpg", "blue")), MADE)
    moved = [
        item.model_copy(update={"uri": f"/elsewhere/{item.name}"}) for item in (picture("b.jpg", "blue"), picture("a.jpg"))
    ]
    assert datasets.add(db, dataset(*moved, name="other"), Made(verb="again")) == first
    (version,) = datasets.versions(db)
    assert version.made == MADE
    uris = [item.uri for item in datasets.get(db, first).items]
    assert uris == ["/elsewhere/a.jpg", "/elsewhere/b.jpg"], "where the files were seen last"


def test_versions_share_their_pictures(db: Database) -> None:
    pictures = [picture(f"{number}.jpg") for number in range(30)]
    first = datasets.add(db, dataset(*pictures), MADE)
    grown = [*pictures[:-1], picture("29.jpg", "blue"), picture("30.jpg")]
    second = datasets.add(db, dataset(*grown), Made(verb="clean"), [first])
    third = datasets.add(db, dataset(*(one.model_copy(update={"split": "train"}) for one in grown)), MADE, [second, first])
    with db.read() as connection:
        assert len(connection.execute(items.select()).all()) == 32
        assert len(connection.execute(members.select()).all()) == 30 + 31 + 31
    newest, middle, oldest = datasets.versions(db)
    assert (newest.hash, middle.hash, oldest.hash) == (third, second, first)
    assert (set(newest.parents), middle.parents, oldest.parents) == ({first, second}, (first,), ())
    assert [item.labels for item in datasets.get(db, first).items if item.name == "29.jpg"] == [("red",)]


def test_found_by_name_hash_or_its_start(db: Database) -> None:
    named = datasets.add(db, dataset(picture("a.jpg")), MADE)
    names.point(db, "dataset", "street signs", named, "collect")
    for reference in ("street signs", named, named[:6], named[:12].upper()):
        assert datasets.summary(db, reference).hash == named
    assert datasets.get(db, "street signs").name == "street signs"
    assert datasets.get(db, named).name == "signs"
    assert datasets.summary(db, named).names == ("street signs",)
    with pytest.raises(NotFoundError, match="no dataset 'street sings'") as caught:
        datasets.get(db, "street sings")
    assert caught.value.hint == "did you mean street signs?"
    for reference in ("", "abc", "0" * 64, named + "0", "*", "%"):
        with pytest.raises(NotFoundError):
            datasets.summary(db, reference)


def test_a_start_that_fits_several_is_refused(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, start in enumerate(("abcdef0", "abcdef1")):
        monkeypatch.setattr(datasets, "hash_of", lambda keys, start=start: start + "0" * 57)
        datasets.add(db, dataset(picture(f"{number}.jpg")), MADE)
    with pytest.raises(UsageError, match="several versions"):
        datasets.summary(db, "abcdef")
    assert datasets.summary(db, "abcdef1").hash.startswith("abcdef1")


def test_files_without_hashes_are_read(db: Database, tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "photos", per_class=2)
    known = read(folder)
    assert datasets.add(db, read(folder, hashed=False), MADE) == known.hash
    with pytest.raises(DatasetError, match="content of"):
        datasets.add_items(db, known, read(folder, hashed=False).items, MADE)


def test_a_picture_that_stands_twice_is_refused(db: Database) -> None:
    with pytest.raises(DatasetError, match=r'"a.jpg" stands twice'):
        datasets.add(db, dataset(picture("a.jpg"), picture("b.jpg"), picture("a.jpg", split="val")), MADE)
    assert datasets.versions(db) == []


def test_pictures_that_come_one_by_one_in_many_portions(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk.portions, "__defaults__", (7,))
    frame = dataset(name="stream")
    named = datasets.add_items(db, frame, (picture(f"{number:03}.jpg") for number in range(50)), MADE)
    assert named == manifest_hash([picture(f"{number:03}.jpg") for number in range(50)])
    assert [item.name for item in datasets.get(db, named).items] == [f"{number:03}.jpg" for number in range(50)]


def test_a_stop_in_the_middle_leaves_no_version(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk.portions, "__defaults__", (7,))

    def stopped():
        for number in range(50):
            if number == 30:
                raise KeyboardInterrupt
            yield picture(f"{number}.jpg")

    with pytest.raises(KeyboardInterrupt):
        datasets.add_items(db, dataset(), stopped(), MADE)
    assert datasets.versions(db) == []
    whole = [picture(f"{number}.jpg") for number in range(50)]
    assert len(datasets.get(db, datasets.add(db, dataset(*whole), MADE)).items) == 50


def test_an_empty_dataset_is_one_too(db: Database) -> None:
    named = datasets.add(db, dataset(), MADE)
    assert (datasets.get(db, named).items, datasets.summary(db, named).sizes) == ((), {})
    assert datasets.split(db, named, MADE) == named


def test_several_writers_at_once(db: Database) -> None:
    faults: list[BaseException] = []
    found: list[str] = []

    def write(number: int) -> None:
        try:
            shared = [picture(f"{one}.jpg") for one in range(40)]
            own = picture(f"own-{number % 2}.jpg")
            found.append(datasets.add(db, dataset(*shared, own), MADE))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(set(found)) == len(datasets.versions(db)) == 2
    with db.read() as connection:
        assert len(connection.execute(items.select()).all()) == 42


def test_copied_pictures_move_with_the_workspace(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.settings import settings

    monkeypatch.setenv("SIGHTLINE_BLOBS", str(tmp_path / "old"))
    settings.cache_clear()
    sha256 = blobs().put(b"a picture")
    item = picture("a.jpg").model_copy(update={"sha256": sha256, "uri": str(blobs().local(sha256))})
    named = datasets.add(db, dataset(item), MADE)
    assert datasets.get(db, named).items == (item,)
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.setenv("SIGHTLINE_BLOBS", str(tmp_path / "new"))
    settings.cache_clear()
    (found,) = datasets.get(db, named).items
    assert Path(found.uri).read_bytes() == b"a picture"


def test_a_copied_picture_seen_again_in_a_folder_stays_with_its_copy(db: Database) -> None:
    sha256 = blobs().put(b"a picture")
    kept = picture("a.jpg").model_copy(update={"sha256": sha256, "uri": str(blobs().local(sha256))})
    seen = kept.model_copy(update={"uri": "/stick/a.jpg"})
    for first, then in ((kept, seen), (seen, kept)):
        named = datasets.add(db, dataset(first), MADE)
        assert datasets.add(db, dataset(then), Made(verb="train")) == named
        assert datasets.get(db, named).items == (kept,), "the folder may go away"


def test_pictures_of_a_bucket_are_fetched(db: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    from sightline.settings import settings

    monkeypatch.setenv("SIGHTLINE_BLOBS", f"memory://{tmp_path.name}")
    settings.cache_clear()
    sha256 = blobs().put(b"far away")
    item = picture("a.jpg").model_copy(update={"sha256": sha256, "uri": str(blobs().place(sha256))})
    named = datasets.add(db, dataset(item), MADE)
    blobs().place(sha256).unlink(missing_ok=True)
    assert Path(datasets.get(db, named).items[0].uri).read_bytes() == b"far away"


def test_everything_that_is_said_of_objects_comes_back(db: Database, tmp_path: Path) -> None:
    square = ((1.0, 1.0), (9.0, 1.0), (9.0, 9.0))
    truth = (
        Annotation(label="a", box=(1, 1, 9, 9), traits=("crowd",), mask=Mask(size=(20, 30), counts="52203"), track=4),
        Annotation(label="a", rings=(square, square), mask=Mask(size=(20, 30), counts="52203")),
        Annotation(label="b", keypoints=((0, 0), (3, 4)), visibility=(0, 2), text="x"),
        Annotation(label="b", traits=("difficult", "truncated")),
    )
    (tmp_path / "1.jpg").write_bytes(b"1")
    item = Item(uri=str(tmp_path / "1.jpg"), name="1.jpg", truth=truth, sha256="1" * 64)
    skeletons = {"b": Skeleton(points=("nose", "tail"), links=((0, 1),))}
    given = Dataset(name="d", task="detection", classes=("a", "b"), items=(item,), skeletons=skeletons)
    found = datasets.get(db, datasets.add(db, given, MADE))
    assert found.items[0].truth == truth
    assert found.skeletons == skeletons
    divided = datasets.get(db, datasets.split(db, found.hash, MADE, val=0.5))
    assert divided.skeletons == skeletons
    bare = given.model_copy(update={"items": (item.model_copy(update={"truth": truth[:3]}),)})
    assert datasets.add(db, bare, MADE) != found.hash
