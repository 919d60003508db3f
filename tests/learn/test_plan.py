from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from sightline.errors import UsageError
from sightline.learn.plan import (
    FINE_TUNE,
    LONGEST,
    SCRATCH,
    Agreement,
    balanced,
    changed,
    differences,
    keep_plan,
    kept_plan,
    plan_from,
    within,
)

pytestmark = pytest.mark.deep


@pytest.mark.parametrize("plan", [FINE_TUNE, SCRATCH])
def test_values_go_through_json_and_back(plan):
    assert plan_from(json.loads(json.dumps(plan.values()))) == plan


def test_single_changes_go_through_json_too_and_old_plans_are_read():
    plan = replace(SCRATCH, augment=replace(SCRATCH.augment, each=("blur:0.005", "hue:0.1")), sampling=0.5)
    assert plan_from(json.loads(json.dumps(plan.values()))) == plan
    assert differences(json.loads(json.dumps(plan.values())), plan.values()) == []
    older = SCRATCH.values()
    del older["augment"]["each"], older["sampling"]
    assert plan_from(older) == SCRATCH


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("auto", (3.0, 0.0)),
        ("none", (0.0, 0.0)),
        ("weights", (1.0, 0.0)),
        ("sampler", (0.0, 0.5)),
        ("sampler-full", (0.0, 1.0)),
        ("focal", (0.0, 0.0)),
    ],
)
def test_balance(how, expected):
    plan = balanced(SCRATCH, how)
    assert (plan.balance, plan.sampling) == expected
    assert plan.loss == ("focal" if how == "focal" else "cross-entropy")


def test_drawn_symbols_are_not_mirrored_by_default_and_photographs_are():
    assert FINE_TUNE.augment.flip
    assert not SCRATCH.augment.flip


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": 0}, {"batch": -1}, {"ema": 1.0}, {"label_smoothing": 1.5}])
def test_impossible_values_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        replace(SCRATCH, **wrong)


def test_unknown_value():
    with pytest.raises(UsageError, match="speed"):
        plan_from({**SCRATCH.values(), "speed": 3})


def test_epochs_that_fit():
    plan = replace(SCRATCH, epochs=10)
    assert within(plan, 1.0, 6.0).epochs == 9  # 10 % are kept back
    assert within(plan, 0.01, 60.0).epochs == 1
    assert within(plan, 1000.0, 1.0).epochs == 10 * LONGEST


def test_a_kept_plan_comes_back_and_a_broken_file_is_none(tmp_path):
    assert kept_plan(tmp_path) is None
    agreement = Agreement({"asked": 1}, SCRATCH, {"network": "abc"}, {"torch": "2"})
    keep_plan(tmp_path, agreement)
    assert kept_plan(tmp_path) == agreement
    (tmp_path / "plan.json").write_text("{")
    assert kept_plan(tmp_path) is None


def test_differences_are_named():
    other = replace(SCRATCH, lr=0.5, augment=replace(SCRATCH.augment, flip=True))
    assert differences(SCRATCH.values(), other.values()) == ["flip False -> True", f"lr {SCRATCH.lr} -> 0.5"]
    assert differences(SCRATCH.values(), SCRATCH.values()) == []


def test_values_by_name_come_into_the_plan_as_their_types():
    plan = changed(SCRATCH, (("epochs", "3"), ("freeze_norm", "yes"), ("lr", "0.5"), ("optimiser", "sgd")))
    assert (plan.epochs, plan.freeze_norm, plan.lr, plan.optimiser) == (3, True, 0.5, "sgd")
    assert changed(SCRATCH, ()) == SCRATCH
    with pytest.raises(UsageError, match="lr must be a number above 0, got '-1'"):
        changed(SCRATCH, (("lr", "-1"),))
    with pytest.raises(UsageError, match="no value 'learn'"):
        changed(SCRATCH, (("learn", "1"),))


def test_who_names_the_epochs_gets_no_more_of_them():
    assert within(changed(SCRATCH, (("epochs", "3"),)), 1000, 1.0).epochs == 3
    assert within(changed(SCRATCH, (("lr", "3"),)), 1000, 1.0).epochs == SCRATCH.epochs * LONGEST
