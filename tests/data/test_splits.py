"""Splits: shares by class, copies and groups on one side, the same for a seed whatever the order, given ones untouched."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sightline.data.splits import split
from sightline.data.survey import Survey
from sightline.errors import UsageError
from sightline.types import Annotation, Dataset, Item, Split


def dataset_of(
    rows: list[tuple[tuple[str, ...], Split | None, str | None, str]], task: str = "multiclass"
) -> tuple[Dataset, Survey]:
    """A dataset without files: (labels, split, group, content) a picture; equal contents are copies."""
    items = tuple(
        Item(
            uri=f"/d/{n:05}.jpg",
            name=f"{n:05}.jpg",
            truth=tuple(Annotation(label=label) for label in labels),
            split=part,
            group=group,
            sha256=hashlib.sha256((content or str(n)).encode()).hexdigest(),
        )
        for n, (labels, part, group, content) in enumerate(rows)
    )
    classes = tuple(sorted({label for item in items for label in item.labels}))
    seen = Survey(
        uris=tuple(item.uri for item in items),
        sha256=tuple(item.sha256 for item in items),
        hashes=np.zeros(len(items), np.uint64),
        miniatures=np.zeros((len(items), 8, 8, 3), np.uint8),
        failures=(),
        greys=np.zeros((len(items), 16, 16), np.uint8),
        widths=np.zeros(len(items), np.int32),
        heights=np.zeros(len(items), np.int32),
        formats=np.zeros(len(items), "S4"),
    )
    return Dataset(name="d", task=task, classes=classes, items=items), seen  # type: ignore[arg-type]


def plain(counts: dict[str, int]) -> tuple[Dataset, Survey]:
    return dataset_of([((label,), None, None, "") for label, count in counts.items() for _ in range(count)])


def shares(dataset: Dataset) -> dict[str, Counter[str | None]]:
    found: dict[str, Counter[str | None]] = defaultdict(Counter)
    for item in dataset.items:
        for label in item.labels:
            found[label][item.split] += 1
    return found


def test_every_class_gives_its_share() -> None:
    dataset, seen = plain({"a": 1000, "b": 100, "c": 20, "d": 3, "e": 2, "f": 1})
    parts = shares(split(dataset, seen, val=0.2))
    assert parts["a"] == {"train": 800, "val": 200}
    assert parts["b"] == {"train": 80, "val": 20}
    assert parts["c"] == {"train": 16, "val": 4}
    assert parts["d"]["val"] == 1
    assert parts["e"] == {"train": 1, "val": 1}
    assert parts["f"] == {"train": 1}


def test_of_many_pictures_no_more_than_are_needed_validate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.data.splits.MOST", 20)
    dataset, seen = plain({"a": 300, "b": 100})
    assert shares(split(dataset, seen)) == {"a": {"train": 285, "val": 15}, "b": {"train": 95, "val": 5}}
    assert len(split(dataset, seen, val=0.1).part("val")) == 40
    few, looks = plain({"a": 80, "b": 40})
    assert len(split(few, looks).part("val")) == 18


def test_three_parts() -> None:
    dataset, seen = plain({"a": 200, "b": 40, "c": 3})
    parts = shares(split(dataset, seen, val=0.15, test=0.1))
    assert parts["a"] == {"train": 150, "val": 30, "test": 20}
    assert parts["b"] == {"train": 30, "val": 6, "test": 4}
    assert parts["c"] == {"train": 1, "val": 1, "test": 1}


def test_same_seed_same_split_in_any_order() -> None:
    dataset, seen = plain({"a": 60, "b": 30})
    first = split(dataset, seen, seed=3)
    turned = dataset.model_copy(update={"items": dataset.items[::-1]})
    assert split(turned, seen, seed=3).hash == first.hash
    assert split(dataset, seen, seed=3).items == first.items
    assert split(dataset, seen, seed=4).hash != first.hash
    assert dataset.hash != first.hash


def test_copies_and_groups_stay_together() -> None:
    rows = [(("a" if n % 2 else "b",), None, f"g{n // 10}" if n < 100 else None, f"same{n // 3}") for n in range(300)]
    parts = split(*dataset_of(rows), val=0.3)
    for key in (lambda item: item.group, lambda item: item.sha256):
        sides: dict[str, set[str | None]] = defaultdict(set)
        for item in parts.items:
            if key(item):
                sides[key(item)].add(item.split)
        assert all(len(side) == 1 for side in sides.values())
    assert 60 <= len(parts.part("val")) <= 120


def test_near_duplicates_stay_together() -> None:
    dataset, seen = plain({"a": 40, "b": 40})
    rng = np.random.default_rng(0)
    values = rng.integers(1, 2**63, 80, dtype=np.uint64)
    values[1::2] = values[::2] ^ np.uint64(5)  # two bits apart
    miniatures = np.repeat(rng.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8), 2, axis=0)
    parts = split(dataset, replace(seen, hashes=values, miniatures=miniatures), val=0.25).items
    assert all(one.split == other.split for one, other in zip(parts[::2], parts[1::2], strict=True))


def test_given_train_and_val_stay() -> None:
    dataset, seen = dataset_of([(("a" if n % 2 else "b",), ("train", "val", "test")[n % 3], None, "") for n in range(30)])
    assert split(dataset, seen, val=0.5, test=0.4) == dataset


def test_val_is_cut_out_of_a_given_train() -> None:
    rows = [(("a" if n % 2 else "b",), "test" if n < 20 else "train", None, "") for n in range(120)]
    parts = split(*dataset_of(rows), val=0.2, test=0.3)  # type: ignore[arg-type]
    assert [len(parts.part(part)) for part in ("train", "val", "test")] == [80, 20, 20]
    assert all(item.split == "test" for item in parts.items[:20])


def test_a_test_set_alone_stays() -> None:
    dataset, seen = dataset_of([(("a" if n % 2 else "b",), "test", None, "") for n in range(10)])
    assert split(dataset, seen) == dataset


def test_free_pictures_follow_a_given_neighbour() -> None:
    rows = [(("a",), "val", None, "x"), (("b",), None, None, "x"), (("a",), None, None, ""), (("b",), None, None, "")]
    parts = split(*dataset_of(rows))  # type: ignore[arg-type]
    assert [item.split for item in parts.items] == ["val", "val", "train", "train"]


def test_multilabel_shares() -> None:
    rng = np.random.default_rng(1)
    chances = {"a": 0.5, "b": 0.3, "c": 0.05, "d": 0.02}
    rows = [(tuple(label for label, p in chances.items() if rng.random() < p), None, None, "") for _ in range(600)]
    parts = split(*dataset_of(rows, "multilabel"), val=0.2)
    for counts in shares(parts).values():
        assert abs(counts["val"] / counts.total() - 0.2) < 0.08
    none = Counter(item.split for item in parts.items if not item.labels)
    assert abs(none["val"] / none.total() - 0.2) < 0.03


@pytest.mark.parametrize(("val", "test"), [(1.0, 0.0), (-0.1, 0.0), (0.6, 0.4), (0.1, 1.0)])
def test_impossible_shares(val: float, test: float) -> None:
    with pytest.raises(UsageError, match="shares"):
        split(*plain({"a": 4, "b": 4}), val=val, test=test)


@hypothesis_settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sets(st.sampled_from("abcd"), max_size=3), st.sampled_from([None, "g1", "g2", "g3"]), st.integers(0, 12)),
        min_size=1,
        max_size=40,
    ),
    val=st.sampled_from([0.0, 0.1, 0.3, 0.5]),
    test=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 3),
)
def test_whatever_comes_is_divided(rows: list[tuple[set[str], str | None, int]], val: float, test: float, seed: int) -> None:
    dataset, seen = dataset_of(
        [(tuple(sorted(labels)), None, group, str(content)) for labels, group, content in rows], "multilabel"
    )
    parts = split(dataset, seen, seed=seed, val=val, test=test)
    assert {item.split for item in parts.items} <= {"train"} | ({"val"} if val else set()) | ({"test"} if test else set())
    for content in {item.sha256 for item in parts.items}:
        assert len({item.split for item in parts.items if item.sha256 == content}) == 1
