"""Genotypes: their names, walking among them, the networks they build, what those cost, budgets."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import UsageError
from sightline.learn.search import cost
from sightline.learn.search.space import (
    EXAMPLE,
    cell_of,
    drawn,
    genes_of,
    input_of,
    mutated,
    read,
    resolutions_for,
    shrunk,
    smallest,
    space,
)

USE = cost.Use(("a", "b", "c"), "multiclass")


def test_names_read_back_and_genes_too():
    draws = np.random.default_rng(0)
    for _ in range(200):
        cell = drawn(space(), draws)
        assert read(cell.text) == cell
        assert cell_of(genes_of(cell)) == cell
    assert read(EXAMPLE).text == EXAMPLE
    assert input_of(EXAMPLE) == 32
    assert input_of("resnet18") is None


@pytest.mark.parametrize(
    "name",
    ["cell:", "cell:r32-w24", "cell:r32-w24-2q3", "cell:r32-w24-2c4", "cell:r8-w24-2c3", "cell:r32-w2-2c3", "cell:r32-w24-0c3",
     "cell:r32-w24-2c3x4", "cell:r32-w24-2i3x9", "cell:r32-w24-2c3-", "cell:r32-w24-99c3"],
)  # fmt: skip
def test_a_wrong_name_is_refused_with_what_is_wrong(name):
    from sightline.learn.zoo.names import check

    with pytest.raises(UsageError) as refused:
        check(name)
    assert name in refused.value.message


def test_a_mutation_changes_the_network_and_by_one_gene():
    draws = np.random.default_rng(1)
    cell = drawn(space(), draws)
    for _ in range(100):
        new = mutated(cell, space(), draws)
        before, after = genes_of(cell), genes_of(new)
        changed = {name for name in before if before[name] != after[name]}
        assert changed
        assert len({name for name in changed if not name.startswith("expansion")}) <= 1
        cell = new


def test_shrinking_ends_at_the_smallest():
    draws = np.random.default_rng(2)
    where = space()
    for _ in range(10):
        cell = drawn(where, draws)
        for _ in range(200):
            cell = shrunk(cell, where, draws)
        assert cell == smallest(where)


def test_resolutions_do_not_enlarge():
    assert resolutions_for(28) == (32,)
    assert resolutions_for(64) == (32, 48, 64)


@pytest.mark.deep
def test_the_count_is_that_of_the_network_built_by_name():
    import torch

    from sightline.learn.zoo.networks import from_scratch

    draws = np.random.default_rng(3)
    for _ in range(6):
        cell = drawn(space((32, 48)), draws)
        module, width = from_scratch(cell.text, cell.resolution)
        parameters = sum(one.numel() for one in module.parameters())
        assert cost.count(cell, 7).parameters == parameters + (width + 1) * 7
        with torch.no_grad():
            assert module.eval()(torch.zeros(2, 3, cell.resolution, cell.resolution)).shape == (2, width)


@pytest.mark.deep
def test_multiply_adds_of_a_network_counted_by_hand():
    # 32 px, 8 channels: stem 27*8*32*32; 3x3 8->8 at 32, 8->16 at 16, 16->32 at 8; head 32*3
    by_hand = 27 * 8 * 1024 + 72 * 8 * 1024 + 72 * 16 * 256 + 144 * 32 * 64 + 96
    assert cost.count(read("cell:r32-w8-1c3-1c3-1c3"), 3).multiply_adds == by_hand


@pytest.mark.deep
def test_nothing_in_the_space_has_fewer_parameters_than_the_smallest():
    where, draws = space((32,)), np.random.default_rng(4)
    least = cost.count(smallest(where), 3).parameters
    for kind in "cri":
        assert cost.count(smallest(where, kind), 3).parameters >= least
    assert all(cost.count(drawn(where, draws), 3).parameters >= least for _ in range(20))


@pytest.mark.deep
def test_a_measurement_is_of_the_file_that_a_training_would_write():
    small, large = (cost.measure(read(name), USE) for name in ("cell:r32-w8-1d3-1d3-1d3", "cell:r32-w32-2r3-2r3-2r3"))
    assert 4 * cost.count(read("cell:r32-w32-2r3-2r3-2r3"), 3).parameters < large.file_bytes
    assert small.file_bytes < large.file_bytes
    assert small.latency_ms > 0


def test_budgets_in_words():
    budget = cost.read_budget("200k", "1.5MB", "5ms")
    assert (budget.parameters, budget.file_bytes, budget.latency_ms) == (200_000, 1_500_000, 5.0)
    assert budget.text == "at most 200,000 parameters, at most 1.5 MB, at most 5 ms"
    assert cost.read_budget(None, None, "500us").latency_ms == 0.5
    for wrong in ("", "0", "-3", "many", "3 apples", "nan", "1e3"):
        with pytest.raises(UsageError, match="--max-parameters"):
            cost.read_budget(wrong, None, None)


COUNTED = cost.Count(1000, 5000)
MEASURED = cost.Measurement(9000, 2.0)


@pytest.mark.parametrize(
    ("budget", "least"),
    [
        (cost.Budget(parameters=999), "1000"),
        (cost.Budget(file_bytes=8999), "9kB"),
        (cost.Budget(latency_ms=1.9), "2.4ms"),
    ],
)
def test_a_budget_nothing_fits_names_the_smallest_possible(budget, least):
    with pytest.raises(UsageError, match="smallest possible") as refused:
        cost.check(budget, space(), lambda _: COUNTED, lambda _: MEASURED)
    assert least in refused.value.hint
    assert smallest(space()).text in refused.value.message


def test_nothing_is_measured_where_no_budget_asks_for_it():
    def never(cell):
        raise AssertionError

    cell = smallest(space())
    assert cost.fits(cell, cost.Budget(parameters=1000), lambda _: COUNTED, never)
    assert not cost.fits(cell, cost.Budget(parameters=10, latency_ms=1), lambda _: COUNTED, never)
    assert not cost.fits(cell, cost.Budget(file_bytes=3999), lambda _: COUNTED, never)
    assert not cost.fits(cell, cost.Budget(latency_ms=1.0), lambda _: COUNTED, lambda _: MEASURED)
    assert cost.fits(cell, cost.Budget(file_bytes=9000, latency_ms=2.0), lambda _: COUNTED, lambda _: MEASURED)
