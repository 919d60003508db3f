from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from sightline.errors import UsageError  # noqa: E402
from sightline.learn.checkpoint import digest  # noqa: E402
from sightline.learn.dropping import DropPath, regularise  # noqa: E402
from sightline.learn.network import Classifier, small_resnet  # noqa: E402
from sightline.learn.plan import SCRATCH  # noqa: E402

pytestmark = pytest.mark.deep
PLAN = replace(SCRATCH, drop_path=0.3, dropout=0.4)


def rates(model):
    return [module.rate for module in model.modules() if isinstance(module, DropPath)]


def test_a_branch_is_left_out_for_some_pictures_and_the_mean_stays():
    torch.manual_seed(0)
    layer, x = DropPath(0.25), torch.ones(4000, 2, 3)
    y = layer(x)
    assert torch.equal(y[:, :1, :1].expand_as(y), y), "the whole branch of a picture, or none of it"
    assert sorted(set(y.flatten().tolist())) == pytest.approx([0, 1 / 0.75])
    assert float(y.mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.eval()(x), x)


def test_rates_rise_to_the_last_block_and_answers_and_names_stay():
    torch.manual_seed(0)
    model = Classifier(*small_resnet("tiny"), 3).eval()
    x = torch.randn(2, 3, 48, 48)
    before, weights = model(x), digest(model.state_dict())
    regularise(model, PLAN)
    assert rates(model) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert model.dropout.p == 0.4
    assert torch.equal(model.eval()(x), before)
    assert digest(model.state_dict()) == weights
    regularise(model, replace(PLAN, drop_path=0.6))
    assert rates(model) == pytest.approx([0, 0.2, 0.4, 0.6])
    regularise(model, SCRATCH)
    assert model.dropout.p == 0.4, "what a plan leaves open stays"


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2:0.35", "convnext_atto", "vit_tiny"])
def test_networks_of_the_zoo_with_residual_branches(name):
    pytest.importorskip("timm")
    from sightline.learn.zoo.networks import from_scratch

    torch.manual_seed(0)
    model = Classifier(*from_scratch(name, 32), 3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # branches that begin at zero show no difference
            torch.nn.init.ones_(module.weight)
    regularise(model, replace(PLAN, drop_path=0.9, dropout=-1.0))
    assert len(rates(model)) >= 4
    assert max(rates(model)) == pytest.approx(0.9)
    model.train()
    x = torch.randn(4, 3, 32, 32)
    first, second = (model.embed(x) for _ in range(2))
    assert not torch.equal(first, second)
    model.eval()
    assert torch.equal(model.embed(x), model.embed(x))


@pytest.mark.parametrize("name", ["vgg16_bn", "squeezenet1_1"])
def test_networks_without_branches_are_refused_with_the_reason(name):
    pytest.importorskip("timm")
    from sightline.learn.zoo.networks import from_scratch

    model = Classifier(*from_scratch(name, 32), 3)
    with pytest.raises(UsageError, match=r"residual branches, and (VGG|SqueezeNet) has none") as caught:
        regularise(model, PLAN)
    assert "--plan dropout" in caught.value.hint
