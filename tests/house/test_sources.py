"""What no file of the project may hold, and what every source file must."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from repository import ROOT, files, text_files

SOURCES = [path for path in files("src") if path.suffix == ".py"]
TESTS = [path for path in files("tests", "bench") if path.suffix == ".py"]

# in pieces, or this file would find itself
HOSTS = [
    "py" + "pi.org",
    "files.python" + "hosted",
    "download.py" + "torch",
    "ana" + "conda.org",
    "jsde" + "livr",
    "unp" + "kg.com",
]
PLACES = re.compile(r"(?<![\w.-])/(?:wo" + r"rk|ho" + r"me/\w|Us" + r"ers|ro" + r"ot)/")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_registry_and_no_machine_is_named():
    found = []
    for path in text_files():
        text = path.read_text()
        found += [f"{name(path)}: {host}" for host in HOSTS if host in text]
        found += [f"{name(path)}: {match[0]}" for match in PLACES.finditer(text)]
    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_source(path: Path):
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 500, "a file of more than 500 lines holds more than one noun"
    if not tree.body:
        return
    assert ast.get_docstring(tree), "a header says what the file does and what it does not know"
    if len(tree.body) > 3:
        first = tree.body[1]
        assert isinstance(first, ast.ImportFrom), "the first statement is: from __future__ import annotations"
        assert first.module == "__future__"


def _names(node: ast.AST) -> str:
    """`torch.load` for the expression torch.load, else ''."""
    if isinstance(node, ast.Attribute):
        return f"{_names(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


FORBIDDEN = {
    "torch.load": "unpickles",
    "torch.save": "pickles",
    "eval": "runs what it reads",
    "exec": "runs what it reads",
    "os.system": "goes through a shell",
}
PICKLERS = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


@pytest.mark.parametrize("path", [*SOURCES, *(path for path in TESTS if path.parent.name == "bench")], ids=name)
def test_nothing_that_runs_what_it_reads(path: Path):
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLERS:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            called = _names(node.func)
            if called in FORBIDDEN:
                found.append(f"{called}: {FORBIDDEN[called]}")
            found += [f"{called}({k.arg}=True)" for k in node.keywords if k.arg in {"allow_pickle", "shell"} and _true(k.value)]
    assert found == []


def _true(node: ast.expr) -> bool:
    return not (isinstance(node, ast.Constant) and not node.value)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_the_environment_is_read_in_settings_only(path: Path):
    if path.name == "settings.py" and path.parent.name == "sightline":
        return
    tree = ast.parse(path.read_text())
    reads = [_names(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)]
    assert not {"os.environ", "os.getenv", "environ", "getenv"} & set(reads)


def test_no_utils():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core"}
    assert [name(path) for path in [*SOURCES, *TESTS] if path.stem in vague or path.parent.name in vague] == []


def test_test_files_have_names_of_their_own():
    """Tests are collected without packages, so two files of one name would hide each other."""
    stems = [path.stem for path in TESTS if "tests" in path.parts and path.name != "conftest.py"]
    assert sorted({stem for stem in stems if stems.count(stem) > 1}) == []
    assert [name(path) for path in TESTS if path.name == "__init__.py"] == []


def test_tests_mirror_the_source():
    floors = {path.name for path in (ROOT / "src/sightline").iterdir() if path.is_dir() and path.name != "__pycache__"}
    allowed = floors | {"house", "ground", "bench", "journeys"}
    assert {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"} <= allowed
