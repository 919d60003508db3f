"""Channels that belong together: whatever is taken away, the network answers as if those channels had been zero all along."""

from __future__ import annotations

import copy

import numpy as np
import pytest

pytest.importorskip("timm")
torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from sightline.errors import UsageError  # noqa: E402
from sightline.learn.network import Classifier, small_resnet  # noqa: E402
from sightline.learn.pooled import Pooled  # noqa: E402
from sightline.learn.shrinking.channels import Channels, cut  # noqa: E402
from sightline.learn.shrinking.tracing import traced  # noqa: E402
from sightline.learn.shrinking.width import narrow, strength  # noqa: E402
from sightline.learn.zoo.networks import as_published, from_scratch  # noqa: E402

pytestmark = pytest.mark.deep


def classifier(name: str, size: int = 64) -> Classifier:
    """A network with random weights, its norms too: channels differ."""
    torch.manual_seed(0)
    if name.startswith("sightline-"):
        body, width = small_resnet(name.removeprefix("sightline-"))
    elif name.startswith("published "):
        body = Pooled(as_published(name.removeprefix("published "), size, {}).eval(), size)
        width = body.width
    else:
        body, width = from_scratch(name, size)
    network = Classifier(body, width, 5).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    for parameter_name, parameter in network.named_parameters():
        if parameter_name.endswith("gamma"):
            nn.init.uniform_(parameter, 0.5, 1.5)
    return network


def multiply_adds(network: nn.Module, size: int = 64) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() // 2


def half(channels: Channels) -> np.ndarray:
    """Half of each group at random, in eights."""
    kept, draws = np.ones(channels.count, bool), np.random.default_rng(0)
    for numbers in channels.groups:
        kept[draws.permutation(numbers)[max(8, len(numbers) // 16 * 8) :]] = False
    return kept


def silenced(network: nn.Module, channels: Channels, kept: np.ndarray) -> nn.Module:
    """The whole network, whose layers do not listen to the channels that are to go."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for name, layer in channels.layers.items():
            if not layer.depthwise:
                network.get_submodule(name).weight[:, ~torch.from_numpy(kept[channels.ins[name]])] = 0
    return network


# networks -> the share of their multiply-adds that is left at most with half of all channels that may go
NETWORKS = {
    "sightline-tiny": 0.3,  # residual
    "resnet18": 0.3,
    "published mobilenetv2_050": 0.35,  # depthwise; features of two stages joined
    "mobilenet_v3_small": 0.35,  # squeeze-and-excitation
    "squeezenet1_1": 0.35,  # concatenation
    "resnet20": 0.5,  # short cuts that fill with zeros
    "regnety_002": 0.7,  # grouped convolutions: only what is around them
    "convnext_atto": 0.7,  # layer norms: only what is inside the blocks
    "vit_tiny": 0.8,  # attention: only what is inside its perceptrons
    "cell:r32-w24-2c3-2r3s-1i5x4": 0.4,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_goes_leaves_no_trace(name):
    network = classifier(name)
    channels = traced(network, 64)
    kept = half(channels)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = silenced(network, channels, kept)(x)
        whole = network(x)
        cut(network, channels, kept)
        found = network(x)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(found, whole, atol=1e-3), "or the test would say nothing"
    assert channels.multiply_adds(kept) <= NETWORKS[name] * channels.multiply_adds()
    assert traced(network, 64).multiply_adds() == channels.multiply_adds(kept)


@pytest.mark.parametrize("name", ["sightline-tiny", "published mobilenetv2_050", "squeezenet1_1", "regnety_002"])
def test_multiply_adds_are_those_that_torch_counts(name):
    network = classifier(name)
    assert traced(network, 64).multiply_adds() == multiply_adds(network)


def test_blocks_that_add_to_what_comes_in():
    network = classifier("resnet18")
    channels = traced(network, 64)
    assert set(channels.blocks) == {f"backbone.network.layer{n}" for n in ("1.0", "1.1", "2.1", "3.1", "4.1")}
    everything = np.ones(channels.count, bool)
    removed = ("backbone.network.layer1.0", "backbone.network.layer4.1")
    left = channels.multiply_adds(everything, removed)
    cut(network, channels, everything, removed)
    assert multiply_adds(network) == left == traced(network, 64).multiply_adds()
    assert left < channels.multiply_adds()


def test_gates_are_no_blocks():
    """What is multiplied with what comes in, as squeeze-and-excitation, adds nothing to it."""
    blocks = traced(classifier("mobilenet_v3_small"), 64).blocks
    assert blocks
    assert not any(name.endswith(".se") for name in blocks)


class Odd(nn.Module):
    """Convolutions with something in between that nobody has foreseen."""

    def __init__(self, between: object) -> None:
        super().__init__()
        self.one, self.two, self.between = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 1), between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(self.between(self.one(x))).mean((2, 3))


@pytest.mark.parametrize(
    ("between", "free"),
    [
        (torch.relu, True),
        (lambda x: x[:, :, ::2, ::2], True),
        (lambda x: x + 1, True),
        (lambda x: x * torch.ones(1, 1, 14, 14), True),
        (lambda x: functional.pad(x, (1, 1, 1, 1)), True),
        (lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2), True),
        (lambda x: x.softmax(1), False),
        (lambda x: x.flip(1), False),
        (lambda x: x * torch.linspace(0, 1, 16).view(1, 16, 1, 1), False),
        (lambda x: x + x.mean(1, keepdim=True), False),
        (lambda x: functional.layer_norm(x, x.shape[1:]), False),
        (lambda x: functional.group_norm(x, 4), False),
        (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), False),
        (lambda x: x.view(1, 4, 4, 14, 14).transpose(1, 2).reshape(1, 16, 14, 14), False),
        (lambda x: x[:, torch.arange(15, -1, -1)], False),
        (lambda x: torch.cat([x[:, :8], x[:, 8:]], 1), False),
        (lambda x: functional.conv2d(x, torch.ones(16, 4, 1, 1), groups=4), False),
    ],
)
def test_what_is_not_known_is_left_alone(between, free):
    channels = traced(Odd(between).eval(), 16)
    assert (len(channels.groups) == 1) == free
    assert all(len(numbers) == 16 for numbers in channels.groups)


def test_layers_that_are_used_twice_and_flattened_maps():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.again, self.last = nn.Conv2d(3, 16, 3, 2), nn.Conv2d(16, 16, 1), nn.Linear(16 * 7 * 7, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return self.last(torch.flatten(self.again(self.again(x).relu()), 1))

    torch.manual_seed(0)
    network = Twice().eval()
    channels = traced(network, 16)
    assert [len(numbers) for numbers in channels.groups] == [16], "what goes in and out of one layer is the same"
    kept = half(channels)
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        wanted = silenced(network, channels, kept)(x)
        cut(network, channels, kept)
        assert network.last.in_features == 8 * 49
        assert torch.allclose(network(x), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "most"), [("sightline-tiny", 0.3), ("convnext_atto", 0.7), ("speednet", 0.35), ("resnet20", 0.5)]
)
def test_the_strongest_channels_stay(name, most):
    """Half the width, also of networks with layer norms, short cuts that fill with zeros, and weights outside of layers."""
    network = classifier(name)
    before = traced(network, 64)
    score, groups = strength(network, before), [numbers for numbers in before.groups if len(numbers) >= 16]
    narrow(network, 0.5, 64, name)
    after = traced(network, 64)
    assert after.multiply_adds() <= most * before.multiply_adds()
    assert sorted(len(numbers) for numbers in after.groups)[-1] == max(len(numbers) // 16 * 8 for numbers in groups)
    kept = np.sort(strength(network, after)[after.groups[0]])
    assert np.isfinite(kept).all()
    assert np.isfinite(score).all()
    with pytest.raises(UsageError, match="no narrower form"):
        narrow(network, 1.0, 64, name)
