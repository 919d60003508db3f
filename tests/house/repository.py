"""The repository as text, for the tests of the house: which files there are, what the docs' tables say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "bench", "docs", "scripts", "requirements", ".ci")
TEXT = {".py", ".md", ".txt", ".toml", ".js", ".css", ".html", ".jinja", ".json", ".yml", ".yaml", ".svg", ".conf", ".sh", ""}


def files(*folders: str) -> Iterator[Path]:
    """Every file of `folders`, without what tools leave behind."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            inside = path.relative_to(ROOT).parts
            if path.is_file() and not any(part in {"__pycache__", "results"} or part.endswith(".egg-info") for part in inside):
                yield path


def text_files() -> Iterator[Path]:
    yield from (path for path in sorted(ROOT.iterdir()) if path.is_file() and path.suffix in TEXT)
    yield from (path for path in files(*FOLDERS) if path.suffix in TEXT)


def read(name: str) -> str:
    return (ROOT / name).read_text()


def pyproject() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


def rows(text: str) -> list[list[str]]:
    """The cells of every table row of a Markdown page, backticks removed, heads and rules left out."""
    found, previous = [], ""
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|-: "):
            found.append([cell.strip().strip("`") for cell in line.strip().strip("|").split("|")])
        elif line.startswith("|") and previous.startswith("|"):
            found.pop()  # the line above a rule is the head
        previous = line
    return found


def section(text: str, heading: str) -> str:
    """The part of a page under the first heading that starts with `heading`."""
    match = re.search(rf"^## {re.escape(heading)}.*?\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if match is None:
        raise LookupError(f"no section {heading!r}")
    return match[1]


def package(requirement: str) -> str:
    """`uvicorn[standard]>=0.38` -> `uvicorn`."""
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")
