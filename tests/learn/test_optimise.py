from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from sightline.learn.network import Classifier, small_resnet  # noqa: E402
from sightline.learn.optimise import (  # noqa: E402
    Average,
    class_weights,
    freeze,
    momentum,
    optimiser_for,
    parameter_groups,
    rate,
    set_pace,
    set_rate,
    training_mode,
)
from sightline.learn.plan import SCRATCH  # noqa: E402

pytestmark = pytest.mark.deep


def classifier(classes=3):
    backbone, width = small_resnet("tiny")
    return Classifier(backbone, width, classes)


def test_rates_fall_towards_the_stem_and_only_matrices_decay():
    model = classifier()
    plan = replace(SCRATCH, lr=0.01, layer_decay=0.5, weight_decay=0.1)
    groups = parameter_groups(model, plan)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    assert rates["head.weight"] == rates["head.bias"] == 0.01
    assert rates["backbone.6.conv1.weight"] == pytest.approx(0.005)
    assert rates["backbone.5.conv1.weight"] == pytest.approx(0.0025)
    assert rates["backbone.0.weight"] == pytest.approx(0.01 * 0.5**6)
    assert len(rates) == len(list(model.parameters()))
    for group in groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


def test_frozen_blocks_are_left_out_and_their_norms_rest():
    model = classifier()
    freeze(model, 3)  # convolution, norm, first block
    plan = replace(SCRATCH, frozen=3)
    trained = {id(p) for group in parameter_groups(model, plan) for p in group["params"]}
    still = ("backbone.0", "backbone.1", "backbone.3")
    assert all((id(p) in trained) != name.startswith(still) for name, p in model.named_parameters())
    training_mode(model, plan)
    assert not model.backbone[1].training
    assert not model.backbone[3].bn1.training
    assert model.backbone[4].bn1.training
    training_mode(model, replace(plan, freeze_norm=True))
    assert not model.backbone[4].bn1.training
    freeze(model, 0)
    assert all(p.requires_grad for p in model.parameters())
    freeze(model, 99)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]


def test_rate_rises_then_falls_to_nothing():
    shares = [rate(step, 100, 0.1) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == shares[9] == shares[10] == 1
    assert shares[11:] == sorted(shares[11:], reverse=True)
    assert shares[-1] < 0.001
    optimiser = optimiser_for(classifier(), replace(SCRATCH, lr=0.01, layer_decay=0.5))
    set_rate(optimiser, 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == [group["base"] / 2 for group in optimiser.param_groups]


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_each_optimiser_moves_the_weights(kind):
    model = classifier()
    before = model.head.weight.clone()
    optimiser = optimiser_for(model, replace(SCRATCH, optimiser=kind))
    model(torch.randn(4, 3, 48, 48)).square().mean().backward()
    optimiser.step()
    assert not torch.equal(before, model.head.weight)


def test_the_average_follows_slowly_and_counts_norms():
    model = classifier()
    average = Average(model, 0.9)
    start = model.head.weight.detach().clone()
    with torch.no_grad():
        model.head.weight += 1
        model.backbone[1].running_mean += 2
        model.backbone[1].num_batches_tracked += 7
    average.update(1000)
    assert torch.allclose(average.model.head.weight, start + 0.1, atol=1e-6)
    assert torch.allclose(average.model.backbone[1].running_mean, torch.full((32,), 0.2))
    assert average.model.backbone[1].num_batches_tracked == 7
    average.update(0)  # young: follows fast
    assert torch.allclose(average.model.head.weight, start + 0.1 + 0.9 * 0.9, atol=1e-6)
    follower = Average(model, 0.0)
    with torch.no_grad():
        model.head.weight += 1
    follower.update(5)
    assert torch.allclose(follower.model.head.weight, model.head.weight)


def test_class_weights_only_when_classes_differ_much():
    assert class_weights(torch.tensor([0, 0, 1, 1, 1]), 2, 3.0) is None
    targets = torch.tensor([0] * 90 + [1] * 10)
    weights = class_weights(targets, 2, 3.0)
    assert weights[1] / weights[0] == pytest.approx(3.0)
    assert weights[targets].mean() == pytest.approx(1.0)
    assert class_weights(torch.tensor([0] * 9 + [1]), 3, 3.0).isfinite().all()  # a class without pictures
    labels = torch.zeros(100, 2)
    labels[:50, 0] = 1
    labels[:4, 1] = 1
    assert class_weights(labels, 2, 3.0).tolist() == pytest.approx([1.0, (96 / 4) ** 0.5])
    assert class_weights(labels[:, :1], 1, 3.0) is None


def shares(schedule, steps=100, warmup=0.1):
    return [rate(step, steps, warmup, schedule) for step in range(steps)]


def test_schedules_rise_alike_and_fall_as_they_are_called():
    for schedule in ("cosine", "linear", "step", "constant"):
        assert shares(schedule)[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert set(shares("constant")[10:]) == {1.0}
    assert shares("linear")[10:] == pytest.approx([1 - step / 90 for step in range(90)])
    falls = shares("step")
    assert (falls[54], falls[55], falls[77], falls[78]) == (1, 0.1, 0.1, 0.01)
    assert shares("cosine") == [rate(step, 100, 0.1) for step in range(100)]


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "linear", "step", "constant"])
def test_short_trainings_have_rates_too(schedule, steps):
    assert all(0 < share <= 1 for share in shares(schedule, steps))


def test_one_cycle_goes_up_and_down_and_momentum_the_other_way():
    cycle = shares("one-cycle")
    assert cycle[29] == 1 == max(cycle)
    assert cycle[:30] == sorted(cycle[:30])
    assert cycle[29:] == sorted(cycle[29:], reverse=True)
    assert cycle[0] == pytest.approx(1 / 25, abs=0.01)
    assert 0 < cycle[-1] < 1e-4
    assert shares("one-cycle", warmup=0.5)[49] == 1
    moved = [momentum(step, 100, 0.1) for step in range(100)]
    assert moved[29] == pytest.approx(0.85)
    assert moved[-1] == pytest.approx(0.95)
    for kind, read in (("adamw", lambda group: group["betas"][0]), ("sgd", lambda group: group["momentum"])):
        plan = replace(SCRATCH, optimiser=kind, schedule="one-cycle")
        optimiser = optimiser_for(classifier(), plan)
        set_pace(optimiser, 29, 100, plan)
        assert [read(group) for group in optimiser.param_groups] == pytest.approx([0.85] * len(optimiser.param_groups))
        assert [group["lr"] for group in optimiser.param_groups] == [group["base"] for group in optimiser.param_groups]
