"""Names, models and predictions of the workspace."""

from __future__ import annotations

import pytest

from bundles import tiny_card
from madeup import dataset, picture
from sightline.errors import ConflictError, ModelNotFoundError, NotFoundError, UsageError
from sightline.store import datasets, models, names, predictions
from sightline.store.database import Database
from sightline.types import Annotation, Made, Prediction


def test_a_name_moves_and_goes_back(db: Database) -> None:
    for target in ("one", "two", "two", "three"):
        names.point(db, "dataset", "signs", target, "collect")
    names.point(db, "model", "signs", "other", "train")
    assert names.target(db, "dataset", "signs") == "three"
    assert [move.target for move in names.history(db, "dataset", "signs")] == ["one", "two", "three"]
    assert names.undo(db, "dataset", "signs") == "two"
    assert names.undo(db, "dataset", "signs") == "one", "a second undo goes further back, not forth"
    with pytest.raises(ConflictError, match="nothing before"):
        names.undo(db, "dataset", "signs")
    names.point(db, "dataset", "signs", "four", "clean")
    assert names.undo(db, "dataset", "signs") == "one"
    told = [(move.target, move.why) for move in names.history(db, "dataset", "signs")]
    assert told[3:] == [("two", "undo"), ("one", "undo"), ("four", "clean"), ("one", "undo")]
    assert names.listed(db, "dataset") == {"signs": "one"}
    assert names.target(db, "model", "signs") == "other"
    assert names.target(db, "dataset", "nothing") is None
    with pytest.raises(NotFoundError, match="no dataset called"):
        names.undo(db, "dataset", "nothing")


@pytest.mark.parametrize("name", ["", " ", " a", "a/b", "a\\b", "--out", "..", "~", "abcdef12", "x" * 201, "a\nb", "c:d"])
def test_what_cannot_be_a_name(db: Database, name: str) -> None:
    with pytest.raises(UsageError):
        names.point(db, "dataset", name, "t", "test")
    assert names.checked(names.fitting(name)) == names.fitting(name)


def test_models_and_what_they_were_trained_on(db: Database) -> None:
    first = tiny_card(id="ab12" * 4, created="2026-01-01", dataset={"name": "signs", "hash": "f" * 64})
    second = tiny_card(id="ab34" * 4, created="2026-01-02")
    models.add(db, first, "/models/first")
    models.add(db, second, "/models/second")
    models.add(db, first, "/models/moved")
    names.point(db, "model", "best", first.id, "models name")
    assert [one.id for one in models.list_models(db)] == [second.id, first.id]
    kept = models.get(db, "best")
    assert (kept.path, kept.dataset, kept.names, kept.card) == ("/models/moved", "f" * 64, ("best",), first)
    assert models.get(db, "ab34").id == second.id
    models.add(db, tiny_card(id="ab12" + "0" * 12), "/models/third")
    with pytest.raises(UsageError, match="several models"):
        models.get(db, "ab12")
    with pytest.raises(ModelNotFoundError) as caught:
        models.get(db, "bets")
    assert caught.value.hint == "did you mean best?"


def test_a_name_moves_only_from_where_it_was_expected(db: Database) -> None:
    names.point(db, "dataset", "signs", "one", "collect", after=None)
    names.point(db, "dataset", "signs", "two", "collect", after="one")
    names.point(db, "dataset", "signs", "two", "collect", after="one")
    for expected in ("one", None):
        with pytest.raises(ConflictError, match="another version"):
            names.point(db, "dataset", "signs", "three", "collect", after=expected)
    assert [move.target for move in names.history(db, "dataset", "signs")] == ["one", "two"]


def test_what_models_said(db: Database) -> None:
    hashes = [f"{number:064x}" for number in range(3)]
    said = Prediction(
        picture="a.jpg",
        labels=(Annotation(label="cat", score=0.75, box=(1.0, 2.0, 3.0, 4.0)), Annotation(label="dog", score=0.25)),
        flags=("unsure",),
        decision=("cat",),
        model="tiny",
    )
    predictions.put(db, "m1", dict.fromkeys(hashes[:2], said))
    predictions.put(db, "m2", {hashes[0]: said.model_copy(update={"decision": ("dog",)})})
    predictions.put(db, "m1", {hashes[1]: said.model_copy(update={"flags": ()})})
    found = predictions.read(db, "m1", hashes)
    assert set(found) == set(hashes[:2])
    assert found[hashes[0]] == said.model_copy(update={"picture": hashes[0], "model": "m1"})
    assert found[hashes[1]].flags == ()
    assert predictions.read(db, "m2")[hashes[0]].decision == ("dog",)
    assert predictions.read(db, "m3") == {}


def test_what_models_said_stands_beside_the_truth(db: Database) -> None:
    pictures = [picture("a", "red"), picture("b", "red"), picture("c", None), picture("d", "blue", split="test")]
    whole = dataset(*pictures)
    version = datasets.add(db, whole, Made(verb="test"))
    assert predictions.beside_truth(db, version) == ()
    red = Prediction(picture="x", labels=(Annotation(label="red", score=0.9),), decision=("red",))
    predictions.put(db, "m1", {item.sha256: red for item in pictures})
    predictions.put(db, "m2", {pictures[3].sha256: red, "ff" * 32: red})
    assert [one.model_dump() for one in predictions.beside_truth(db, version)] == [
        {"model": "m1", "pictures": 4, "labelled": 3, "agree": 2},
        {"model": "m2", "pictures": 1, "labelled": 1, "agree": 0},
    ]
    assert [item.labels for item in datasets.get(db, version).items] == [item.labels for item in whole.items], "truth as it was"
