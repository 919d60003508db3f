"""Rounding as it will be: on the right steps, at the right places of the graph, and gone afterwards."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from torch import nn  # noqa: E402

from sightline.errors import UsageError  # noqa: E402
from sightline.learn.network import Classifier, small_resnet  # noqa: E402
from sightline.learn.shrinking.fake import NOWHERE, Aware, activations, weights  # noqa: E402
from sightline.learn.smallmaps import use_products  # noqa: E402
from sightline.learn.zoo.networks import from_scratch  # noqa: E402

pytestmark = pytest.mark.deep


def network(name: str = "sightline", size: int = 32) -> Classifier:
    torch.manual_seed(0)
    body, width = small_resnet("tiny") if name == "sightline" else from_scratch(name, size)
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return Classifier(body, width, 3).eval()


def pictures(size: int = 32, count: int = 6):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def test_weights_lie_on_255_steps_of_their_channel():
    x = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    x[2] *= 100
    steps = weights(x) / (x.abs().flatten(1).amax(1) / 127).view(4, 1, 1, 1)
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert float(steps.abs().max()) == pytest.approx(127, abs=1e-3)
    # a norm behind it, folded in, changes no step: each channel's scale goes along
    gains = torch.tensor([0.1, -3.0, 1.0, 20.0]).view(4, 1, 1, 1)
    assert torch.allclose(weights(x * gains), weights(x) * gains, rtol=1e-4, atol=1e-5)


def test_activations_lie_on_256_steps_with_zero_among_them():
    x = torch.linspace(-1, 3, 1001)
    found = activations(x, torch.tensor([-1.0, 3.0]))
    assert len(found.unique()) == 256
    assert float(found.abs().min()) == 0
    assert float((found - x).abs().max()) <= 4 / 255
    assert float(activations(x, torch.tensor([1.0, 2.0])).min()) == 0, "a range is widened to zero"
    assert activations(x.bfloat16(), torch.tensor([-1.0, 3.0])).dtype == torch.bfloat16


def test_gradients_go_straight_through_within_the_range():
    x = torch.tensor([-2.0, 0.3, 0.9, 5.0], requires_grad=True)
    activations(x, torch.tensor([0.0, 1.0])).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]


def test_places_that_are_rounded():
    """Convolution, norm and ReLU are one step; the sum with the short cut and its ReLU are one; logits stay as they are."""
    found = Aware(network(), 32)
    names = [call.name for call in found.calls]
    assert names[:3] == ["conv2d", "batch_norm", "relu"] or names[:3] == ["conv2d", "batch_norm", "relu_"]
    assert [call.slot for call in found.calls[:3]] == [NOWHERE, NOWHERE, 1]
    assert found.calls[-1] == type(found.calls[-1])("linear", NOWHERE)
    before_sum = next(place for place, name in enumerate(names) if name.startswith(("add", "__add")))
    assert found.calls[before_sum - 1].slot > 0, "both sides of a sum are rounded"
    assert found.calls[before_sum].slot == NOWHERE
    assert found.calls[before_sum + 1].slot > 0


@pytest.mark.parametrize(
    ("name", "size"), [("sightline", 32), ("mobilenet_v3_small:0.5", 32), ("resnet20", 32), ("squeezenet1_1", 64)]
)
def test_answers_are_close_and_the_network_comes_back(name, size):
    plain = network(name, size)
    images = pictures(size)
    with torch.no_grad():
        before = plain(plain.normalise(images))
    state = {key: value.clone() for key, value in plain.state_dict().items()}
    kinds = [type(module) for module in plain.modules()]
    found = Aware(plain, size)
    found.observe(images)
    assert not found.training
    assert bool((found.ranges[:, 0] < found.ranges[:, 1]).all())
    with torch.no_grad():
        rounded = found(found.normalise(images))
    assert 0 < float((rounded - before).norm() / before.norm()) < 0.3
    back = found.released()
    assert [type(module) for module in back.modules()] == kinds
    with torch.no_grad():
        assert torch.equal(back(back.normalise(images)), before)
    assert list(back.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in back.state_dict().items())


def test_ranges_follow_in_training_only():
    found = Aware(network(), 32)
    found.observe(pictures())
    kept, twin = found.ranges.clone(), copy.deepcopy(found)
    found(found.normalise(pictures()) * 3)
    assert torch.equal(found.ranges, kept)
    twin.train()
    twin(twin.normalise(pictures()) * 3).sum().backward()
    assert bool((twin.ranges[0].abs() > kept[0].abs()).all())
    assert torch.equal(found.ranges, kept), "a copy has ranges of its own"
    assert all(parameter.grad is not None for parameter in twin.parameters())


def test_convolutions_stay_watched():
    """What makes training quick on small maps would hide them."""
    found = Aware(network(), 32).train()
    use_products(found)
    kinds = {type(module).__name__ for module in found.modules() if isinstance(module, nn.Conv2d)}
    assert kinds == {"WatchedConv2d"}


def test_a_network_that_learns_by_other_steps_is_refused():
    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)

        def forward(self, x):
            x = self.conv(x)
            return (x + x * x if self.training else x).mean((2, 3))

    with pytest.raises(UsageError, match="other steps"):
        Aware(Classifier(Moody(), 8, 2).eval(), 32)
