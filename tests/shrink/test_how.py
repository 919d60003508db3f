"""The language of compress: read back as written, nonsense refused with the nearest name."""

from __future__ import annotations

import pytest

from sightline.errors import UsageError
from sightline.shrink.how import CODED, TRAINED, How, Step, read_how


def test_ways_are_read_in_order_and_once() -> None:
    ways = read_how("int8, prune:0.50+int8:entropy,int8,width:0.5+input:128")
    assert [way.text for way in ways] == ["int8", "prune:0.5+int8:entropy", "width:0.5+input:128"]
    assert ways[1] == How((Step("prune", 0.5),), "int8:entropy")
    assert ways[1].base == How((Step("prune", 0.5),))
    assert ways[2].coding == ""
    assert [way.text for way in read_how("int8:percentile,fp16,int8")] == ["int8:percentile", "fp16"]


def test_every_word_has_an_example_that_reads() -> None:
    for _, such, _ in TRAINED.values():
        assert read_how(such)[0].text == such
    for name, (variants, _) in CODED.items():
        for text in (name, *(f"{name}:{variant}" for variant in variants)):
            assert read_how(f"prune:0.5+{text}")[0].text == f"prune:0.5+{text}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no way"),
        ("prun:0.5", "did you mean prune"),
        ("int4", "did you mean int8"),
        ("prune", "prune:0.5"),
        ("prune:1", "prune:0.5"),
        ("prune:half", "prune:0.5"),
        ("width:0.05", "width:0.5"),
        ("input:16", "input:160"),
        ("input:100.5", "input:160"),
        ("qat:3", "write qat"),
        ("int8:best", "minmax, entropy, percentile, mixed"),
        ("fp16:2", "takes no number"),
        ("int8+prune:0.5", "put int8 last"),
        ("int8+fp16", "put int8 last"),
        ("qat", "such as qat+int8"),
        ("qat+weights4", "such as qat+int8"),
        ("qat+prune:0.5+int8", "right before int8"),
        ("qat+qat+int8", "once"),
        ("sparse:0.8+prune:0.5", "put sparse behind"),
        ("sparse:0.8+qat+int8", "put sparse behind"),
    ],
)
def test_nonsense_is_refused_with_the_next_step(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_how(text)
    assert said in f"{caught.value.message} {caught.value.hint}"
