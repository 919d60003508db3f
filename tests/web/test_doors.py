"""One signature, three doors: Python, the command line and REST give equal results, and refuse the same arguments."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from pictures import class_folders
from sightline.cli import main
from sightline.verbs import VERBS, verb

OFFERED = [name for name, entry in VERBS.items() if entry.rest and not entry.long]  # long ones: test_web_jobs.py


@pytest.fixture
def root(tmp_path: Path) -> Path:
    class_folders(tmp_path / "root" / "photos", per_class=3)
    (tmp_path / "root" / "photos" / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    return tmp_path / "root"


def arguments(name: str, root: Path, bundle: Path) -> dict[str, Any]:
    photos = root / "photos"
    if name == "predict":
        return {"pictures": [photos], "model": str(bundle), "top": 2}
    return {"data": photos, "model": str(bundle), "report": root / "report"}


def through_python(name: str, given: dict[str, Any]) -> dict[str, Any]:
    named = dict(given)
    first = [named.pop(parameter) for parameter in positional(name)]
    return verb(name)(*first, **named).model_dump(mode="json", exclude_none=True)


def through_cli(name: str, given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    words = [name]
    for parameter, value in given.items():
        values = value if isinstance(value, list) else [value]
        words += [str(one) for one in values] if parameter in positional(name) else [f"--{parameter}", *map(str, values)]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--json"])
    assert stopped.value.code == 5  # a broken picture lies among them
    return json.loads(capsys.readouterr().out)


def through_rest(name: str, given: dict[str, Any], open_client: Any, root: Path) -> dict[str, Any]:
    body = {key: value for key, value in given.items() if key != "model"}
    answer = open_client(root=root).post(f"/v1/verbs/{name}", json=json.loads(json.dumps(body, default=str)))
    assert answer.status_code == 200, answer.text
    return answer.json()


def positional(name: str) -> list[str]:
    parameters = inspect.signature(verb(name)).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.POSITIONAL_ONLY]


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if key != "took_ms"}
    return [without_times(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", OFFERED)
def test_equal_results(name: str, root: Path, bundle: Path, open_client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(name, root, bundle)
    python = without_times(through_python(name, given))
    assert python["failures"], "the broken picture is named"
    assert without_times(through_cli(name, given, capsys)) == python
    assert without_times(through_rest(name, given, open_client, root)) == python


@pytest.mark.parametrize("name", OFFERED)
def test_an_unknown_argument_is_refused_by_name(
    name: str, root: Path, open_client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = open_client(root=root).post(f"/v1/verbs/{name}", json={"modell": "x"})
    assert answer.status_code == 400
    assert "model" in answer.json()["error"]["hint"]
    with pytest.raises(SystemExit) as stopped:
        main([name, "x", "--modell", "x"])
    assert stopped.value.code == 2
    assert "--model" in capsys.readouterr().err
    with pytest.raises(TypeError, match="modell"):
        verb(name)("x", modell="x")
