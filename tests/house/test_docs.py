"""The docs cannot lie: tables equal the code, named paths exist, commands are real ones."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest
from repository import ROOT, pyproject, read, rows, section

import sightline
from sightline import errors
from sightline.settings import VARIABLES
from sightline.verbs import VERBS
from sightline.verbs import command as command_of

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def _tree(kind: type[errors.SightlineError]) -> list[type[errors.SightlineError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in _tree(child))]


def test_errors_table_equals_the_tree():
    told = {row[0]: (row[1], int(row[2]), int(row[3])) for row in rows(read("docs/errors.md"))}
    assert told == {kind.__name__: (kind.code, kind.status, kind.exit_code) for kind in _tree(errors.SightlineError)}


def test_every_error_has_a_code_of_its_own():
    codes = [kind.code for kind in _tree(errors.SightlineError)]
    assert len(codes) == len(set(codes))


def test_every_error_lives_in_errors_and_is_drawn_there():
    for kind in _tree(errors.SightlineError):
        assert kind.__module__ == "sightline.errors"
        assert kind.__name__ in (errors.__doc__ or "")


def test_exit_codes_of_the_contract():
    told = {int(row[0]) for row in rows(section(read("docs/contracts.md"), "Exit codes"))}
    assert told == {0, 5} | {kind.exit_code for kind in _tree(errors.SightlineError)}


def test_settings_table_equals_the_variables():
    assert [row[0] for row in rows(read("docs/settings.md"))] == list(VARIABLES)


def test_version_is_the_changelogs_head():
    head = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.M)
    assert head is not None
    assert head[1] == sightline.__version__


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_exist(page: str):
    text = read(page)
    links = [target.split("#")[0] for target in re.findall(r"\]\(([^)#][^)]*)\)", text) if "://" not in target]
    missing = [link for link in links if link and not ((ROOT / page).parent / link).exists()]
    named = re.findall(r"`((?:src|tests|docs|bench|scripts|requirements|\.ci)/[^`\s]*)`", text)
    missing += [path for path in named if not list(ROOT.glob(path.rstrip("/")))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_lines_that_can_be_read(page: str):
    assert [line for line in read(page).splitlines() if len(line) > 260] == []


def _commands() -> list[tuple[str, str]]:
    """(page, command) for every sightline, make and pip command in a shell block or between backticks."""
    found = []
    for page in PAGES:
        text = read(page)
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
        shell = [block for language, block in blocks if language in {"", "sh", "bash", "console"}]
        lines = [line.removeprefix("$ ").split(" #")[0].strip() for block in shell for line in block.splitlines()]
        lines += re.findall(r"`((?:sightline|make|pip) [^`]+)`", re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.M | re.S))
        found += [(page, line) for line in lines if re.match(r"(sightline|make|pip) ", line)]
    return found


@pytest.mark.parametrize(("page", "command"), sorted(set(_commands())))
def test_command_is_real(page: str, command: str):
    program, *words = re.sub(r"[\[\]']", " ", command).split()
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
        assert {word for word in words if "=" not in word and word.islower()} <= targets
    elif program == "pip":
        extras = set(re.findall(r"sightline\[([\w,]+)\]", command))
        known = set(pyproject()["project"]["optional-dependencies"])
        assert {name for group in extras for name in group.split(",")} <= known
    elif words[0] not in {"VERB", "COMMAND", "--help", "--version"}:
        assert words[0] in VERBS
        parameters = inspect.signature(command_of(words[0])).parameters
        options = {f"--{name.replace('_', '-')}" for name in parameters} | {
            f"--no-{name.replace('_', '-')}" for name in parameters
        }
        given = {word.split("=")[0] for word in words[1:] if word.startswith("--")}
        assert given <= options | {"--json", "--help"}


def test_commands_that_messages_name_are_real():
    """`sightline keys --new NAME` in a hint must exist."""
    for path in (ROOT / "src").rglob("*.py"):
        named = set(re.findall(r"`sightline ([a-z]+)", path.read_text()))
        assert named <= {*VERBS, "command"}, path.name


def test_every_verb_is_in_the_readme():
    told = {row[0].split()[-1] for row in rows(section(read("README.md"), "What it can do"))}
    assert told == set(VERBS)


def test_examples_of_the_contract_are_json():
    for block in re.findall(r"```json\n(.*?)```", read("docs/contracts.md"), re.S):
        json.loads(block)


def test_makefile_lists_its_targets():
    text = read("Makefile")
    phony = set(re.search(r"^\.PHONY: (.*)", text, re.M)[1].split())
    assert phony == set(re.findall(r"^([a-z-]+):", text, re.M))
    assert {"demo", "test", "test-slow", "bench", "check", "requirements", "clean"} <= phony


def test_scripts_can_be_run():
    for path in [ROOT / ".ci/run", *(path for path in (ROOT / "scripts").iterdir() if not path.suffix)]:
        assert path.stat().st_mode & 0o100, f"{path.name} is not executable"
        assert path.read_text().startswith("#!/usr/bin/env bash\n")


def test_pictures_of_the_docs_are_small():
    assert [path.name for path in Path(ROOT / "docs/pictures").glob("*") if path.stat().st_size > 300_000] == []


def test_markers_are_declared():
    declared = {line.split(":")[0] for line in pyproject()["tool"]["pytest"]["ini_options"]["markers"]}
    used = {mark for path in (ROOT / "tests").rglob("*.py") for mark in re.findall(r"pytest\.mark\.(\w+)", path.read_text())}
    builtin = {"parametrize", "skipif", "skip", "xfail", "filterwarnings", "usefixtures", "timeout"}
    assert used - builtin <= declared
