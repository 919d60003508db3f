"""Names of files and of labels: faults are found, words that only look alike are left alone."""

from __future__ import annotations

import pytest

from sightline.data.names import SUFFIXES_OF, label_spellings, right_name, wrong_name
from sightline.runtime.headers import FORMATS


@pytest.mark.parametrize(
    ("name", "kind", "said", "better"),
    [
        ("red/cat.png", "jpeg", "it is a JPEG", "red/cat.jpg"),
        ("cat", "png", "no suffix", "cat.png"),
        ("cat.jpg.png", "png", "ends twice", "cat.png"),
        ("cat.exe.jpg", "jpeg", "ends twice", "cat.jpg"),
        ("cat .jpg", "jpeg", "blank", "cat.jpg"),
        (" cat.jpg", "jpeg", "blank", "cat.jpg"),
        ("cat..jpg", "jpeg", "dot", "cat.jpg"),
        ("con.jpg", "jpeg", "reserved", "_con.jpg"),
        ("red/LPT1.jpg", "jpeg", "reserved", "red/_LPT1.jpg"),
        ("a\x07b.jpg", "jpeg", "cannot be seen", "ab.jpg"),
        ("a\u202egpj.exe.jpg", "jpeg", "cannot be seen", "agpj.jpg"),
        ("what?.jpg", "jpeg", "Windows refuses", "what_.jpg"),
        ("red./cat.jpg", "jpeg", "dot", "red/cat.jpg"),
        ("red/cat.png [test]", "jpeg", "it is a JPEG", "red/cat.jpg [test]"),
    ],
)
def test_faults_of_names(name: str, kind: str, said: str, better: str) -> None:
    assert said in wrong_name(name, kind)
    assert right_name(name, kind) == better
    assert wrong_name(better, kind) == ""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cat.JPG", "jpeg"),
        ("cat.jpeg", "jpeg"),
        ("IMG.2024.05.jpg", "jpeg"),
        ("a b (1).tiff", "tiff"),
        ("日本/犬.webp", "webp"),
        ("cat.jpg [again]", "jpeg"),
        ("unknown.jpg", ""),
        ("console.jpg", "jpeg"),
        (".hidden.jpg", "jpeg"),
    ],
)
def test_good_names_stay(name: str, kind: str) -> None:
    assert wrong_name(name, kind) == ""
    assert right_name(name, kind) == name


def test_every_format_has_its_suffixes() -> None:
    assert set(SUFFIXES_OF) == set(FORMATS)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Cat", "cat"), ("red_fox", "red fox"), ("red-fox", "RedFox"), ("café", "cafe"), ("cat1", "cat-1"), ("Ｄog", "dog")],
)
def test_the_same_word_spelt_twice(one: str, other: str) -> None:
    (group,) = label_spellings({one: 3, other: 50})
    assert (group.right, group.others, group.sure, group.score) == (other, (one,), True, 1.0)


@pytest.mark.parametrize(
    ("one", "other"), [("cats", "cat"), ("berry", "berries"), ("box", "boxes"), ("red foxes", "red_fox"), ("glasses", "glass")]
)
def test_singular_and_plural(one: str, other: str) -> None:
    (group,) = label_spellings({one: 60, other: 20})
    assert (group.right, group.others, group.sure) == (one, (other,), True)
    (group,) = label_spellings({one: 60, other: 50})
    assert not group.sure  # two words in use: a person decides


@pytest.mark.parametrize(("slip", "right"), [("elephnat", "elephant"), ("elephan", "elephant"), ("tractorr", "tractor")])
def test_a_slip_is_rare_and_long(slip: str, right: str) -> None:
    (group,) = label_spellings({slip: 2, right: 90, "other": 40})
    assert (group.right, group.others) == (right, (slip,))
    assert label_spellings({slip: 40, right: 90}) == []


@pytest.mark.parametrize(
    "pair",
    [
        ("cat1", "cat2"),
        ("v1 0", "v10"),
        ("class 1", "class 11"),
        ("shirt", "skirt"),
        ("jacket", "racket"),
        ("hepatitis A", "hepatitis B"),
        ("typeA", "typeB"),
        ("bus", "bu"),
        ("かき", "がき"),
        ("male", "female"),
        ("iris", "iri"),
        ("glass", "glas"),
    ],
)
def test_words_that_only_look_alike(pair: tuple[str, str]) -> None:
    assert label_spellings({pair[0]: 1, pair[1]: 500}) == []


def test_chains_end_at_the_most_frequent() -> None:
    groups = label_spellings({"Elephant": 3, "elephant": 90, "elephants": 4, "elephnat": 1, "ELEPHANT": 2})
    targets = {other: group.right for group in groups for other in group.others}
    assert targets == dict.fromkeys(["Elephant", "ELEPHANT", "elephants", "elephnat"], "elephant")


def test_many_labels_are_quick() -> None:
    counts = {f"word number {number} of many": number for number in range(5000)}
    assert label_spellings(counts) == []
