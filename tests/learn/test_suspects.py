"""Label errors and outliers: planted ones are found, on features made by hand and through the whole way with drawn pictures."""

from __future__ import annotations

import numpy as np
import pytest

from sightline import progress
from sightline.learn import suspects
from sightline.types import Annotation, Dataset, Item

CLASSES = ("cat", "dog", "owl")


def scattered(count: int, labels: list[tuple[str, ...]], task: str = "multiclass", spread: float = 0.6) -> suspects.Embedded:
    """Features around a centre for each true class; `labels` are what people said, the truth goes round the classes."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 40))
    vectors = (centres[np.arange(count) % 3] + spread * rng.normal(size=(count, 40)) + 4).astype(np.float32)
    items = tuple(
        Item(uri=f"/p/{n}.jpg", name=f"{n}.jpg", sha256=f"{n:064x}", truth=tuple(Annotation(label=label) for label in names))
        for n, names in enumerate(labels)
    )
    dataset = Dataset(name="d", task=task, classes=CLASSES, items=items)
    return suspects.Embedded(dataset, items, vectors)


def test_wrong_labels_are_found_and_right_ones_are_not():
    labels = [(CLASSES[n % 3],) for n in range(300)]
    wrong = set(range(0, 300, 20))
    for n in wrong:
        labels[n] = (CLASSES[(n + 1) % 3],)
    seen = scattered(300, labels)
    found = suspects.label_errors(seen.dataset, seen=seen)
    named, planted = {finding.items[0] for finding in found}, {f"{n}.jpg" for n in wrong}
    assert len(planted - named) <= 1
    assert len(named - planted) <= 2
    assert [finding.score for finding in found] == sorted((finding.score for finding in found), reverse=True)
    assert all(finding.kind == "label_error" and 0 <= finding.score <= 1 for finding in found)
    assert "labelled 'dog'" in found[0].message or "labelled 'owl'" in found[0].message or "labelled 'cat'" in found[0].message


def test_a_missing_and_a_false_label_among_several():
    labels = [(CLASSES[n % 3],) for n in range(300)]
    labels[6], labels[7] = (), ("dog", "cat")
    seen = scattered(300, labels, "multilabel")
    found = {
        (finding.items[0], finding.message.split(" labelled")[0].split()[-1])
        for finding in suspects.label_errors(seen.dataset, seen=seen)
    }
    assert ("6.jpg", "not") in found, "the cat that nobody named"
    assert ("7.jpg", "is") in found, "the cat that is none"
    assert len(found) <= 6


def test_small_classes_are_left_alone():
    labels = [("cat",), ("dog",)] * 2 + [("owl",)] * 30
    seen = scattered(34, labels)
    said: list[str] = []
    with progress.listen(lambda event: said.append(event.note)):
        assert suspects.label_errors(seen.dataset, seen=seen) == []
    assert any("two classes" in note for note in said)


def test_strangers_are_outliers_even_when_they_are_alike():
    labels = [(CLASSES[n % 3],) for n in range(400)]
    seen = scattered(400, labels)
    strangers = [5, 77, 200, 201]
    seen.vectors[strangers] = np.random.default_rng(1).normal(size=40) - 4 + 0.1 * np.random.default_rng(2).normal(size=(4, 40))
    found = [finding.items[0] for finding in suspects.outliers(seen.dataset, seen=seen)]
    assert set(found[:4]) == {f"{n}.jpg" for n in strangers}
    assert len(found) <= 8, "of 396 usual pictures few are called strange"


def test_a_small_class_is_no_stranger():
    seen = scattered(300, [(CLASSES[n % 3],) for n in range(300)])
    few = np.arange(0, 300, 30)
    seen.vectors[few] = np.random.default_rng(3).normal(size=40) + 4 + 0.6 * np.random.default_rng(4).normal(size=(10, 40))
    items = tuple(
        item.model_copy(update={"truth": (Annotation(label="fox"),)}) if n in few else item for n, item in enumerate(seen.items)
    )
    dataset = seen.dataset.model_copy(update={"items": items, "classes": (*CLASSES, "fox")})
    found = {f.items[0] for f in suspects.outliers(dataset, seen=suspects.Embedded(dataset, items, seen.vectors))}
    assert len(found & {f"{n}.jpg" for n in few}) <= 3
    blind = suspects.strangeness(seen.vectors, np.full(300, 50))
    assert (blind[few] > suspects.FAR).all(), "without regard to the class's size all ten would be called strange"


def test_more_pictures_than_are_compared_at_once(monkeypatch: pytest.MonkeyPatch):
    seen = scattered(2500, [(CLASSES[n % 3],) for n in range(2500)])
    seen.vectors[9] -= 8
    everyone = suspects.strangeness(seen.vectors, suspects._neighbours(seen.items))
    monkeypatch.setattr(suspects, "_REFERENCE", 500)
    some = suspects.strangeness(seen.vectors, suspects._neighbours(seen.items))
    assert everyone.argmax() == some.argmax() == 9
    assert np.corrcoef(everyone, some)[0, 1] > 0.8
