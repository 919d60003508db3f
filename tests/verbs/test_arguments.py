"""Arguments from JSON: checked, named, and back to JSON; also for names that a record keeps for itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from sightline.errors import UsageError
from sightline.verbs import VERBS, verb
from sightline.verbs.arguments import arguments_model, as_json, call, read_arguments


def sample(data: list[Path], /, *, copy: bool = False, way: Literal["a", "b"] = "a", model_id: str | None = None) -> Any:
    return data, copy, way, model_id


SHAPE = arguments_model("sample", sample)


def test_checked_called_and_back_to_json() -> None:
    given = read_arguments(SHAPE, {"data": ["x", "y"], "copy": True})
    assert given == {"data": [Path("x"), Path("y")], "copy": True, "way": "a", "model_id": None}
    plain = as_json(SHAPE, given)
    assert plain == json.loads(json.dumps(plain)) == {"data": ["x", "y"], "copy": True, "way": "a", "model_id": None}
    assert read_arguments(SHAPE, plain) == given
    assert call(sample, given) == ([Path("x"), Path("y")], True, "a", None)
    assert set(SHAPE.model_json_schema()["properties"]) == {"data", "copy", "way", "model_id"}


@pytest.mark.parametrize(
    ("values", "said"), [({}, "data"), ({"data": ["x"], "copi": 1}, "copi"), ({"data": ["x"], "way": "c"}, "way")]
)
def test_mistakes_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_arguments(SHAPE, values)
    assert said in caught.value.message


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(UsageError) as caught:
        read_arguments(SHAPE, {"data": [], "copi": 1})
    assert caught.value.hint == "did you mean copy?"


@pytest.mark.parametrize("name", [name for name, entry in VERBS.items() if entry.rest])
def test_what_the_table_says_of_arguments_is_true(name: str) -> None:
    entry, shape = VERBS[name], arguments_model(name, verb(name))
    assert {*entry.words, *entry.names, *entry.places, *entry.withheld} <= set(shape.model_json_schema()["properties"])
