"""docs/dependencies.md and pyproject.toml say the same; the pins follow, each with a hash."""

from __future__ import annotations

import re

import pytest
from repository import ROOT, package, pyproject, read, rows, section

PINS = sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))


def declared() -> dict[str, set[str]]:
    """Heading of docs/dependencies.md -> packages that pyproject.toml names there."""
    project = pyproject()
    extras = project["project"]["optional-dependencies"]
    groups = {"Base": project["project"]["dependencies"]}
    groups |= {f"Extra `{name}`": wanted for name, wanted in extras.items() if name != "all"}
    groups |= {f"Group `{name}`": wanted for name, wanted in project["dependency-groups"].items()}
    return {heading: {package(one) for one in wanted} - {"sightline"} for heading, wanted in groups.items()}


@pytest.mark.parametrize("heading", declared())
def test_every_dependency_is_explained(heading: str):
    table = rows(section(read("docs/dependencies.md"), heading))
    assert {row[0] for row in table} == declared()[heading]
    assert all(all(cell for cell in row) for row in table), "no cell is empty: what for, licence, cost"


def test_all_is_everything():
    extras = pyproject()["project"]["optional-dependencies"]
    named = {name for wanted in extras["all"] for name in re.findall(r"\[(.*)\]", wanted)[0].split(",")}
    inside = {name for part in named for wanted in extras[part] if "[" in wanted for name in re.findall(r"\[(.*)\]", wanted)}
    assert (named | inside) >= set(extras) - {"all"}


def _pins(name: str) -> dict[str, list[str]]:
    """package -> its pinned versions (one for each marker) in one requirements file."""
    pins: dict[str, list[str]] = {}
    for match in re.finditer(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", read(f"requirements/{name}"), re.M):
        pins.setdefault(package(match[1]), []).append(match[2])
    return pins


@pytest.mark.parametrize("name", PINS)
def test_every_pin_has_a_hash(name: str):
    text = re.sub(r"^#.*\n", "", read(f"requirements/{name}"), flags=re.M)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9_.-]+==\S+", entry), f"not an exact pin: {entry[:60]}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), f"no hash: {entry[:60]}"


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        ("base.txt", ["Base"]),
        ("deep.txt", ["Base", "Extra `deep`", "Extra `features`"]),
        ("studio.txt", ["Base", "Extra `studio`"]),
        ("dev.txt", ["Base", "Extra `deep`", "Extra `features`", "Extra `studio`", "Group `dev`"]),
    ],
)
def test_every_dependency_is_pinned(name: str, headings: list[str]):
    wanted = set().union(*(declared()[heading] for heading in headings))
    assert wanted <= set(_pins(name)), "run: make requirements"


def test_the_smaller_files_follow_dev():
    """One environment can hold any of them: the same package has the same versions everywhere."""
    everything = _pins("dev.txt")
    for name in ("base.txt", "deep.txt", "studio.txt", "build.txt"):
        for one, versions in _pins(name).items():
            assert set(versions) <= set(everything.get(one, versions)), f"{one} in {name}"


def test_base_has_no_torch_and_no_server():
    assert not {"torch", "fastapi", "nicegui", "timm"} & set(_pins("base.txt"))
    assert "torch" not in _pins("studio.txt")
