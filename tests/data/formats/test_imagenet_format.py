"""ImageNet's layout: synset words, flat validation pictures with a list, words that collide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rounds import contents, dataset, notes_of, pictures, said, there_and_back

from sightline.data.formats import export
from sightline.data.readers import read
from sightline.errors import DatasetError
from sightline.types import Annotation

TENCH, CRANE, MACHINE = "n01440764", "n02012849", "n03126707"
WORDS = {TENCH: "tench, Tinca tinca", CRANE: "crane", MACHINE: "crane"}
MAPPING = "".join(f"{synset} {words}\n" for synset, words in WORDS.items())


@pytest.mark.parametrize("splits", [(None,), ("train", "train", "train", "test", "val", "val")])
def test_there_and_back(tmp_path: Path, splits):
    given = dataset(pictures(tmp_path / "in"), splits=splits)
    found = there_and_back(given, "imagenet", tmp_path / "out")
    assert said(found) == said(given)
    assert (found.classes, found.kind) == (given.classes, "imagenet")
    assert all(name.endswith((".JPEG", ".json", ".txt")) for name in contents(tmp_path / "out"))


def test_labels_keep_their_synsets_and_others_get_made_up_ones(tmp_path: Path):
    given = dataset(pictures(tmp_path / "in", 4))
    labels = (f"crane ({CRANE})", TENCH, "dog, brown", f"other ({CRANE})")
    items = tuple(i.model_copy(update={"truth": (Annotation(label=one),)}) for i, one in zip(given.items, labels, strict=True))
    given = given.model_copy(update={"items": items, "classes": tuple(sorted(labels))})
    heard = notes_of(lambda: export(given, "imagenet", tmp_path / "out"))
    assert any("2 labels have no WordNet number" in text for text in heard)
    assert (tmp_path / "out" / CRANE / "a-0.JPEG").is_file()
    assert (tmp_path / "out" / TENCH / "a-1.JPEG").is_file()
    assert set(read(tmp_path / "out").classes) == set(labels)


def train(root: Path) -> Path:
    for synset in WORDS:
        pictures(root / "train" / synset, 2)
    return root


def flat(root: Path, count: int = 3) -> list[str]:
    pictures(root / "val", count)
    return [f"a-{number}" for number in range(count)]


def val(root: Path) -> dict[str, str]:
    return {item.name.rpartition("/")[2]: item.labels[0] for item in read(root).items if item.split == "val"}


EXPECTED = {"a-0.jpg": f"crane ({MACHINE})", "a-1.jpg": "tench", "a-2.jpg": f"crane ({CRANE})"}
ORDER = (MACHINE, TENCH, CRANE)


def test_words_and_collisions(tmp_path: Path):
    (train(tmp_path) / "LOC_synset_mapping.txt").write_text(MAPPING)
    found = read(tmp_path)
    assert found.classes == (f"crane ({CRANE})", f"crane ({MACHINE})", "tench")
    assert {item.split for item in found.items} == {"train"}


def test_the_competition_on_kaggle(tmp_path: Path):
    root = tmp_path / "ILSVRC/Data/CLS-LOC"
    train(root)
    names = flat(root)
    pictures(root / "test", 2)
    (tmp_path / "LOC_synset_mapping.txt").write_text(MAPPING)
    lines = [f"{name},{synset} 1 2 30 40 {synset} 5 6 7 8" for name, synset in zip(names, ORDER, strict=True)]
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *lines]))
    assert val(tmp_path) == EXPECTED
    assert ["2 pictures" in failure.error.message for failure in read(tmp_path).failures] == [True]  # the test has no labels


def test_tiny_imagenet(tmp_path: Path):
    for synset in WORDS:
        pictures(tmp_path / "train" / synset / "images", 2)
    pictures(tmp_path / "val/images", 3)
    rows = [f"a-{number}.jpg\t{synset}\t0\t32\t44\t62" for number, synset in enumerate(ORDER)]
    (tmp_path / "val/val_annotations.txt").write_text("\n".join(rows))
    (tmp_path / "words.txt").write_text(
        "".join(f"{synset}\t{words}\n" for synset, words in WORDS.items()) + "n09999999\tcrane\n"
    )
    assert val(tmp_path) == EXPECTED


def test_numbers_in_a_list_are_places_in_the_alphabet(tmp_path: Path):
    names = flat(train(tmp_path))
    index = {str(number): [synset, WORDS[synset].partition(",")[0]] for number, synset in enumerate(sorted(WORDS))}
    (tmp_path / "imagenet_class_index.json").write_text(json.dumps(index))
    (tmp_path / "val.txt").write_text("\n".join(f"{name}.jpg {number}" for name, number in zip(names, (2, 0, 1), strict=True)))
    assert val(tmp_path) == EXPECTED


def test_ground_truth_without_names(tmp_path: Path):
    flat(train(tmp_path))
    (tmp_path / "synset_words.txt").write_text(MAPPING)
    (tmp_path / "imagenet_2012_validation_synset_labels.txt").write_text("\n".join(ORDER))
    assert val(tmp_path) == EXPECTED


def test_the_devkits_numbers_need_its_map(tmp_path: Path):
    flat(train(tmp_path))
    (tmp_path / "LOC_synset_mapping.txt").write_text(MAPPING)
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n3\n")
    found = read(tmp_path)
    assert {item.split for item in found.items} == {"train"}  # nothing is guessed
    assert any("own order" in failure.error.message for failure in found.failures)
    (tmp_path / "map_clsloc.txt").write_text(f"{MACHINE} 1 crane\n{TENCH} 2 tench\n{CRANE} 3 crane\n")
    assert val(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("imagenet_class_index.json", "{broken"),
        ("imagenet_class_index.json", "[" * 100_000),
        ("imagenet_class_index.json", '{"0": 3, "x": ["n01440764"], "1": [1, 2]}'),
        ("LOC_synset_mapping.txt", "\x00\xff" * 5000),
        ("words.txt", ""),
        ("LOC_val_solution.csv", 'ImageId,"PredictionString\na-0,nonsense\n,\n"'),
        ("val.txt", "a-0.jpg 99999999999999999999\na-1.jpg nonsense\n"),
        ("ILSVRC2012_validation_ground_truth.txt", "1\n"),
    ],
)
def test_nonsense_beside_it(tmp_path: Path, name: str, text: str):
    flat(train(tmp_path))
    (tmp_path / name).write_text(text, errors="surrogateescape")
    try:
        found = read(tmp_path, format="imagenet")
    except DatasetError:
        return
    assert len(found.items) >= 6


def test_synset_folders_without_words_are_class_folders(tmp_path: Path):
    assert read(train(tmp_path)).kind == "folders"
    pictures(tmp_path / "d/cat")
    with pytest.raises(DatasetError, match="no synset"):
        read(tmp_path / "d", format="imagenet")
