"""Who is better, honestly: paired differences, what is recommended, and a page that says it."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.measure import plots
from sightline.measure.leaderboard import behind, caveats, hopeless, leaderboard_page, recommended, verdict
from sightline.measure.standings import Leaderboard, Standing
from sightline.types import Score


def answers(truth: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Probabilities (n, 2) whose best answer is right where `right` says so."""
    best = np.where(right, truth, 1 - truth)
    return np.eye(2, dtype=np.float32)[best] * 0.8 + 0.1


def gap(value: float, low: float, high: float) -> Score:
    return Score(value=value, low=low, high=high, n=400)


def standing(name: str, ms: float, difference: Score, state: str = "finished") -> Standing:
    score = Score(value=0.9 - difference.value, low=0.85 - difference.value, high=0.94 - difference.value, n=400)
    return Standing(
        name=name,
        state=state,
        why="asked for",
        score=score,
        behind=difference,
        latency_ms=ms,
        latency_p95_ms=ms,
        parameters=1000,
    )


NONE = gap(0.0, -0.01, 0.01)


def test_a_real_difference_is_seen_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    good = rng.random(400) < 0.95
    worse = good & (rng.random(400) < 0.8)
    difference = behind(truth, answers(truth, good), answers(truth, worse), "binary")
    assert difference.low > 0.1
    assert difference.value == pytest.approx(good.mean() - worse.mean())
    assert hopeless(difference)
    other = rng.random(400) < 0.95
    chance = behind(truth, answers(truth, good), answers(truth, other), "binary")
    assert chance.low < 0 < chance.high
    assert not hopeless(chance)


def test_pairing_tells_more_than_two_intervals() -> None:
    """Models that differ on few pictures are told apart although their own intervals overlap."""
    truth = np.arange(200) % 2
    good = np.arange(200) < 170
    worse = np.arange(200) < 162
    difference = behind(truth, answers(truth, good), answers(truth, worse), "binary")
    assert 0 < difference.low < 0.04 < difference.high < 0.08


def test_the_same_answers_leave_the_doubt_of_few_pictures() -> None:
    truth = np.arange(20) % 2
    same = answers(truth, truth >= 0)
    difference = behind(truth, same, same, "binary")
    assert difference.value == 0
    assert difference.low == -difference.high < -0.1


def test_several_labels_are_compared_by_average_precision() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, (300, 3))
    good = (truth * 0.5 + rng.random((300, 3)) * 0.5).astype(np.float32)
    poor = rng.random((300, 3)).astype(np.float32)
    difference = behind(truth, good, poor, "multilabel")
    assert difference.low > 0.3
    same = behind(truth, good, good, "multilabel")
    assert (same.value, same.low) == (0, -same.high)


def test_the_fast_one_of_equals_is_taken() -> None:
    name, why = recommended([standing("big", 40, NONE), standing("small", 10, gap(0.004, -0.009, 0.016))], "big")
    assert name == "small"
    assert why == "take small: as good as the best, big (difference 0.4 points, interval -0.9 to 1.6), and 4.0x faster"


@pytest.mark.parametrize(
    ("difference", "ms", "said"),
    [
        (gap(0.05, 0.02, 0.08), 10, "better than small"),  # fast, but clearly worse
        (gap(0.03, -0.02, 0.08), 10, "not distinguishable"),  # perhaps as good, but 3 points are too many to give away
        (gap(0.0, -0.01, 0.01), 39, "not distinguishable"),  # as good, hardly faster
    ],
)
def test_otherwise_the_best_is_taken(difference: Score, ms: float, said: str) -> None:
    name, why = recommended([standing("big", 40, NONE), standing("small", ms, difference)], "big")
    assert name == "big"
    assert said in why


def test_one_that_was_stopped_early_is_not_taken() -> None:
    quick = standing("quick", 1, gap(0.0, -0.01, 0.01), state="stopped")
    assert recommended([standing("big", 40, NONE), quick], "big") == ("big", "take big: the only one that was finished")


def board(*entries: Standing, scored_on: str = "val") -> Leaderboard:
    taken, why = recommended(entries, entries[0].name)
    return Leaderboard(
        measure="top1", scored_on=scored_on, pictures=400, chosen_on=400, entries=entries, best=entries[0].name,
        recommended=taken, recommendation=why,
    )  # fmt: skip


def test_what_the_numbers_do_not_say_is_said() -> None:
    wide = board(standing("big", 40, NONE), standing("wide", 60, gap(0.02, -0.03, 0.07)), standing("s", 1, NONE, "stopped"))
    said = " ".join(caveats(wide))
    assert "7 points could go unnoticed" in said
    assert "flatters" in said
    assert "first look" in said
    assert caveats(board(standing("big", 40, NONE), standing("other", 60, NONE), scored_on="test")) == []


def test_the_page_shows_every_candidate_and_loads_nothing() -> None:
    failed = Standing(name="fine-tune:<x>", state="failed", why="no weights")
    page = leaderboard_page(board(standing("big", 40, NONE), standing("small", 10, NONE), failed), "signs")
    assert "Take <strong>small</strong>" in page
    assert "failed: no weights" in page
    assert "<x>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('r="6"') == 2
    assert verdict(failed, "big").startswith("failed")


def test_ticks_of_a_logarithmic_axis() -> None:
    assert plots.round_steps(0.8, 12) == [1, 2, 5, 10]
    assert plots.round_steps(0.02, 700) == [0.1, 1, 10, 100]


def test_the_frontier_joins_what_nothing_beats() -> None:
    frame = plots.Frame("t", "ms", "share", (1, 100), (0, 1), percent=True, log_x=True)
    drawn = plots.marks(frame, [plots.Mark(x, y, y, y, f"m{x}") for x, y in ((2, 0.5), (10, 0.9), (50, 0.8))])
    path = drawn.split('class="ideal line" points="')[1].split('"')[0]
    assert len(path.split()) == 2
