"""Strategies on a score that needs no training; the journal; what fits into the minutes."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.learn.search import journal
from sightline.learn.search.conclude import sentence
from sightline.learn.search.ground import afforded, rungs_of, thinned
from sightline.learn.search.halving import survivors
from sightline.learn.search.space import drawn, genes_of, read, space
from sightline.learn.search.strategies import Known, propose
from sightline.measure.searched import Found, Tried
from sightline.types import Annotation, Item, Score

WHERE = space((32, 48))


def made_up(cell):
    """A smooth score: three genes decide."""
    return sum(stage.depth + 2 * stage.attention + (stage.kind == "i") for stage in cell.stages) - abs(cell.width - 24) / 8


def run(strategy, seed, trials=40):
    known = []
    for number in range(trials):
        cell = propose(strategy, WHERE, known, np.random.default_rng([seed, number]), trials=trials)
        known.append(Known(cell, made_up(cell)))
    return known


@pytest.mark.deep
@pytest.mark.parametrize("strategy", ["tpe", "evolution"])
def test_clever_strategies_get_better_where_there_is_something_to_learn(strategy):
    late = {name: np.mean([[one.score for one in run(name, seed)[-10:]] for seed in range(3)]) for name in ("random", strategy)}
    assert late[strategy] > late["random"] + 1


@pytest.mark.deep
@pytest.mark.parametrize("strategy", ["random", "tpe", "evolution"])
def test_a_proposal_depends_on_nothing_but_what_was_tried(strategy):
    known = run(strategy, 5, trials=20)
    again = [propose(strategy, WHERE, known, np.random.default_rng(9), trials=20) for _ in range(2)]
    assert again[0] == again[1]
    assert read(again[0].text) == again[0]


def test_evolution_forgets_the_oldest():
    old = Known(read("cell:r32-w8-1d3-1d3-1d3"), 99.0)  # the best, but dead of age
    known = [old, *run("random", 1, trials=16)]
    for seed in range(30):
        child = propose("evolution", WHERE, known, np.random.default_rng(seed), trials=16)
        same = [sum(genes_of(child)[name] == genes_of(one.cell)[name] for name in genes_of(child)) for one in known]
        assert same[0] < max(same[-4:])


def tried(number=0, **changes):
    values = {"strategy": "random", "number": number, "rung": 0, "cell": "cell:r32-w8-1d3-1d3-1d3", "epochs": 2}
    values |= {"score": 0.5, "loss": 1.0, "seconds": 3.0, "parameters": 1730, "multiply_adds": 450_000}
    values |= {"file_bytes": 34_000, "latency_ms": 0.1}
    return Tried(**{**values, **changes})


def test_the_journal_drops_a_line_that_was_cut_off(tmp_path):
    for number in range(3):
        journal.append(tmp_path, tried(number))
    path = tmp_path / journal.FILE
    whole = path.read_bytes()
    for cut in (1, 20, len(whole) // 3 - 2):
        path.write_bytes(whole[:-cut])
        assert [one.number for one in journal.read(tmp_path)] == [0, 1]
        journal.append(tmp_path, tried(2))
        assert path.read_bytes() == whole
    assert journal.read(tmp_path / "nowhere") == []


def test_the_better_half_goes_on_and_loss_decides_between_equals():
    done = [tried(0, score=0.5, loss=1.0), tried(1, score=0.5, loss=0.5), tried(2, score=0.1), tried(3, score=0.9),
            tried(0, strategy="tpe", score=1.0)]  # fmt: skip
    assert [one.number for one in survivors(done, "random", 1, 2)] == [3, 1]


def test_what_fits_into_the_minutes():
    assert rungs_of(16, 2) == ((16, 2), (8, 4), (4, 8))
    assert rungs_of(5, 3) == ((5, 3), (3, 6), (2, 12))
    plenty, pictures = afforded((16, 8, 4), 5000, 10, second=1e-6, allowed=600)
    assert (plenty[0][0], plenty[0][1], pictures) == (16, 4, 5000)
    little, pictures = afforded((16, 8, 4), 5000, 10, second=1.0, allowed=600)
    assert little[0][0] == 4
    assert pictures < 5000
    few, pictures = afforded((4,), 128, 10, second=1e-6, allowed=600)  # 2 steps an epoch: more epochs
    assert few[0][1] >= 30
    assert pictures == 128


def test_thinning_keeps_classes_alike():
    items = [Item(uri=str(n), name=str(n), truth=(Annotation(label="a" if n < 90 else "b"),)) for n in range(100)]
    few = thinned(items, 20, 0, "multiclass")
    assert sum(item.labels == ("b",) for item in few) == 10
    assert [int(item.uri) for item in few] == sorted(int(item.uri) for item in few)
    assert thinned(items, 100, 0, "multiclass") == tuple(items)


def found(strategy, value):
    return Found(strategy=strategy, cell=drawn(WHERE, np.random.default_rng(int(100 * value))).text, score=value,
                 unseen=Score(value=value, low=0, high=1, n=100), parameters=1, multiply_adds=1, file_bytes=1, latency_ms=1.0,
                 epochs=8, candidates=4, trainings=8, seconds=1.0)  # fmt: skip


def test_what_is_said_follows_the_interval():
    both = (found("random", 0.6), found("tpe", 0.7))
    assert sentence(both, Score(value=0.1, low=0.02, high=0.18, n=100)).endswith("TPE was better here")
    assert sentence(both, Score(value=0.1, low=-0.02, high=0.22, n=100)).endswith("not distinguishable")
    assert sentence(both, Score(value=-0.1, low=-0.2, high=-0.02, n=100)).endswith("random search was better here")
    assert "random search found" in sentence(both[:1], None)


def test_a_strategy_that_trained_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch):
    from types import SimpleNamespace

    from sightline.errors import DataError
    from sightline.learn.search import conclude

    schedule = SimpleNamespace(strategies=("random", "tpe"), rungs=((2, 4),), pictures=10, minutes=1.0)
    broken = [tried(strategy=name, state="failed", why="the loss is not a number") for name in ("random", "tpe")]
    with pytest.raises(DataError, match="no candidate could be trained: the loss is not a number"):
        conclude.concluded(SimpleNamespace(), schedule, broken)


def test_the_measured_file_is_about_its_weights():
    """The room that novelty takes is that of the network's own width, so that a tight limit holds what it says."""
    from sightline.learn.search import cost

    cell = cost.smallest(space((32,)))
    use = cost.Use(("a", "b"), "multiclass")
    weights = 4 * cost.count(cell, 2).parameters
    assert weights < cost.measure(cell, use).file_bytes < 2 * weights + 40_000
