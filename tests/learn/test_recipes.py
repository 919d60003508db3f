from __future__ import annotations

import pytest

from sightline.errors import UsageError
from sightline.learn.recipes import CHANGES, PRESETS, read_recipe


def test_changes_have_their_usual_amounts_and_the_tables_order():
    changes = read_recipe("erase:0.2, Flip,rotate:15,mixup")
    assert changes.amounts == {"flip": 1, "rotate": 15, "erase": 0.2, "mixup": 0.2}
    assert list(changes.amounts) == ["flip", "rotate", "erase", "mixup"]
    assert changes.sure
    assert changes.by("batch") == changes.amounts
    assert read_recipe("blur,rotate").by("picture") == {"blur": 0.005}


def test_presets_can_be_added_to_and_taken_from():
    medium = read_recipe("medium")
    assert medium.amounts["rotate"] == 12
    assert not medium.sure
    more = read_recipe("medium,rotate:40,flip:0,elastic")
    assert "flip" not in more.amounts
    assert more.amounts["rotate"] == 40
    assert more.amounts["elastic"] == 0.02
    assert more.sure
    assert read_recipe("none").amounts == {}
    assert read_recipe("none,color,crop:1").amounts == {"colour": 0.3}


def test_every_preset_and_every_usual_amount_can_be_read():
    for name in PRESETS:
        read_recipe(name)
    assert list(read_recipe(",".join(CHANGES)).amounts) == list(CHANGES)
    assert all(change.low <= change.usual <= change.high for change in CHANGES.values())


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("rotat:3", "unknown change of pictures 'rotat'", "did you mean rotate?"),
        ("meduim", "unknown change", "did you mean medium?"),
        ("rotate:999", "from 0 to 180, got '999'", "rotate:15"),
        ("erase:", "got ''", "erase:0.25"),
        ("noise:nan", "got 'nan'", "noise:0.05"),
        (" , ", "empty recipe", "light"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        read_recipe(text)
    assert hint in caught.value.hint
