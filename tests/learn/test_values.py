from __future__ import annotations

import pytest

from sightline.errors import UsageError
from sightline.learn.values import VALUES, read_value, read_values, written


def test_names_and_texts_sorted_as_written():
    values = read_values(" lr=0.003, epochs=20 ,weight-decay=1e-4,freeze_norm=no")
    assert values == (("epochs", "20"), ("freeze_norm", "no"), ("lr", "0.003"), ("weight_decay", "1e-4"))
    assert written(values) == "epochs=20,freeze_norm=no,lr=0.003,weight_decay=1e-4"
    assert read_values(written(values)) == values


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("epochs", "20", 20),
        ("epochs", "2e1", 20),
        ("lr", "1e6", 1e6),
        ("freeze_norm", "Yes", True),
        ("optimiser", "SGD", "sgd"),
    ],
)
def test_each_value_is_read_as_its_type(name, said, expected):
    read = read_value(name, said)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("lr=0", "lr must be a number above 0, got '0'", "learning rate"),
        ("lr=inf", "lr must be a number above 0", "learning rate"),
        ("lr=nan", "lr must be", ""),
        ("lr=fast", "lr must be a number above 0, got 'fast'", ""),
        ("epochs=2.5", "epochs must be a whole number from 1 to 100000, got '2.5'", ""),
        ("epochs=0", "epochs must be a whole number from 1", ""),
        ("ema=1", "ema must be a number from 0 to below 1, got '1'", "averag"),
        ("layer_decay=0", "layer_decay must be a number above 0 to 1, got '0'", ""),
        ("optimiser=adam", "optimiser must be adamw or sgd or muon, got 'adam'", ""),
        ("freeze_norm=maybe", "freeze_norm must be yes or no", ""),
        ("learning_rate=1", "no value 'learning_rate'", ""),
        ("epoch=3", "no value 'epoch'", "did you mean epochs"),
        ("size=64", "size is not set by --plan", "--input-size"),
        ("augment=none", "augment is not set by --plan", "--augment"),
        ("lr", "'lr' is not NAME=VALUE", "lr=0.003"),
        ("lr=1,lr=2", "lr is given twice", ""),
        (" , ", "an empty --plan", "epochs"),
    ],
)
def test_what_cannot_be_is_refused_with_its_range_or_the_nearest_name(text, message, hint):
    with pytest.raises(UsageError) as caught:
        read_values(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_every_value_of_a_plan_is_in_the_table_or_set_elsewhere():
    pytest.importorskip("torch")
    from dataclasses import fields

    from sightline.learn.plan import Plan
    from sightline.learn.values import ELSEWHERE

    assert {field.name for field in fields(Plan)} == {*VALUES, *ELSEWHERE, "longest"}
