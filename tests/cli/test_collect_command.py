"""The command `collect`: a source or a page, never half of each; Python and REST have the verb alone."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from pictures import class_folders
from sightline.cli import collect as module
from sightline.cli import main
from sightline.verbs import command, verb
from sightline.verbs.collect import Collected


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["collect", *map(str, words)])
    shown = capsys.readouterr()
    return int(stopped.value.code or 0), shown.out, shown.err


def test_a_source_is_collected_as_before(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    photos = class_folders(tmp_path / "photos", per_class=2)
    code, out, _ = run(capsys, photos, "--into", "colours", "--limit", 4, "--json")
    assert (code, json.loads(out)["count"]) == (0, 4)


def test_the_page_gets_what_was_given(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    asked: dict[str, Any] = {}

    def page(**given: Any) -> Collected:
        asked.update(given)
        return Collected(dataset="", name="pets", count=0, added=0)

    page.__signature__ = inspect.signature(module.collect_page)  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "collect_page", page)
    words = ["--page", "--into", "pets", "--wanted", "cat:5", "--licence", "CC0-1.0", "--allow-host", "a", "--allow-host", "b"]
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "0 pictures in pets" in out
    assert asked == {"into": "pets", "wanted": "cat:5", "licence": "CC0-1.0", "allow_host": ["a", "b"]}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--into", "pets"], "requires a SOURCE"),
        (["photos", "--page", "--into", "pets", "--wanted", "cat:1"], "--page takes no SOURCE"),
        (["photos", "--into", "pets", "--wanted", "cat:1"], "--wanted has a meaning only with --page"),
        (["photos", "--into", "pets", "--port", "9000"], "--port has a meaning only with --page"),
        (["--page", "--into", "pets", "--wanted", "cat:1", "--copy"], "--copy has no meaning with --page"),
        (["--page", "--into", "pets"], "--wanted must name"),
        (["--page", "--wanted", "cat:1"], "--into"),
    ],
)
def test_half_of_each_is_refused(capsys: pytest.CaptureFixture[str], words: list[str], says: str):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert says in err


def test_python_and_rest_have_the_verb_alone():
    assert "page" not in inspect.signature(verb("collect")).parameters
    both = inspect.signature(command("collect")).parameters
    assert set(inspect.signature(verb("collect")).parameters) < set(both)
    assert {"page", "wanted", "consent", "host", "port"} < set(both)
