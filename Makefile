# Sightline's work in one place. Needed beforehand: python3 (3.11 or newer, with venv and pip) and make; the rest is installed from
# the package registry that pip is configured for, pinned by hash. `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
PINS := scripts/setup pyproject.toml $(wildcard requirements/*.txt)
TESTS ?= tests
BENCH ?=
WORKERS ?= 2
UPGRADE ?=
PHOTOS ?=
export OMP_NUM_THREADS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo setup test test-slow bench check lint types floors requirements clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

.venv/stamp-use: $(PINS)
	@PYTHON=$(PYTHON) scripts/setup use

.venv/stamp-dev: $(PINS)
	@PYTHON=$(PYTHON) scripts/setup dev

demo: .venv/stamp-use ## install what a user needs (a download of 138 MB, no torch), draw road signs, train, open the page; PHOTOS=folder for your own
	$(BIN)/sightline demo $(if $(PHOTOS),--photos $(PHOTOS))

setup: .venv/stamp-dev ## install everything for working on Sightline; does nothing when nothing changed

lint: .venv/stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/stamp-dev
	$(BIN)/mypy

floors: .venv/stamp-dev
	$(BIN)/lint-imports --no-cache

check: lint types floors ## style, types, floors: no tests

test: check ## check, then every test that takes seconds; TESTS=tests/data for a part, WORKERS=4 for more processes
	$(BIN)/pytest -n $(WORKERS) -m "not slow" $(TESTS)

test-slow: .venv/stamp-dev ## the tests that take minutes
	$(BIN)/pytest -m slow $(TESTS)

bench: .venv/stamp-dev ## the benchmarks of minutes, one after the other (a quiet machine, please); BENCH="decode serve" for some
	@scripts/bench $(BENCH)

requirements: .venv/stamp-dev ## compile the pins again from pyproject.toml; UPGRADE=1 to move to newer versions
	@UPGRADE=$(UPGRADE) scripts/pins

clean: ## remove what can be made again: the environment, caches, builds (never runs/ or your pictures)
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .grimp_cache .hypothesis
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
