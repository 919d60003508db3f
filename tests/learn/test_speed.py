"""The speed recipe: its network's first layer, its steps, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sightline.errors import UsageError  # noqa: E402
from sightline.learn.loop import train_network  # noqa: E402
from sightline.learn.muon import Muon, even  # noqa: E402
from sightline.learn.network import Classifier  # noqa: E402
from sightline.learn.optimise import optimiser_for  # noqa: E402
from sightline.learn.plan import SPEED  # noqa: E402
from sightline.learn.step import TrainingData  # noqa: E402
from sightline.learn.zoo.networks import from_scratch  # noqa: E402
from sightline.learn.zoo.speed import SpeedNet  # noqa: E402

pytestmark = pytest.mark.deep


def test_the_first_layer_makes_patches_components_equally_strong():
    net = SpeedNet((8, 8, 8))
    x = torch.randn(50, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 1.0, 0.5]).view(1, 3, 1, 1)
    net.whiten(x)
    seen = nn.functional.conv2d(x, net.components)[:, :12].permute(0, 2, 3, 1).reshape(-1, 12)
    covariance = seen.T @ seen / len(seen)
    assert torch.allclose(covariance, torch.eye(12), atol=0.02)
    assert torch.equal(net.components[12:], -net.components[:12])
    assert "components" not in dict(net.named_parameters())


def test_it_answers_for_a_picture_and_its_mirror_image_where_pictures_may_be_mirrored():
    net = SpeedNet((8, 8, 8)).eval()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = [net(x), net(x.flip(3))]
    assert not torch.allclose(*plain, atol=1e-3)
    net.mirrored = True
    assert torch.allclose(net(x), sum(plain) / 2, atol=1e-6)
    assert torch.allclose(net(x), net(x.flip(3)), atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_directions_become_about_equally_long(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    before, after = torch.linalg.svdvals(matrix), torch.linalg.svdvals(even(matrix).float())
    assert before.std() / before.mean() > 0.25
    assert after.std() / after.mean() < 0.2
    assert abs(after.mean() - 1) < 0.3


def test_kernels_keep_their_length_and_the_rest_moves_as_with_sgd():
    torch.manual_seed(0)
    kinds = ("muon", "sgd")
    bodies = [nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Flatten()) for _ in kinds]
    models = [Classifier(body, 8, 4) for body in bodies]
    models[1].load_state_dict(models[0].state_dict())
    x, y = torch.randn(16, 3, 3, 3), torch.arange(16) % 4
    optimisers = [optimiser_for(model, replace(SPEED, optimiser=kind)) for model, kind in zip(models, kinds, strict=True)]
    for model, optimiser in zip(models, optimisers, strict=True):
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    assert isinstance(optimisers[0], Muon)
    for name in ("head.weight", "head.bias", "backbone.1.bias"):
        assert torch.allclose(models[0].get_parameter(name), models[1].get_parameter(name), atol=1e-6), name
    kernel = models[0].get_parameter("backbone.0.weight")
    assert not torch.allclose(kernel, models[1].get_parameter("backbone.0.weight"))
    assert abs(float(kernel.detach().norm()) / 8**0.5 - 1) < 0.2


def test_networks_without_norms_behind_their_kernels_are_refused():
    plain = Classifier(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten()), 8, 4)
    with pytest.raises(UsageError, match="plain convolutions without biases"):
        optimiser_for(plain, SPEED)


def test_it_learns_and_goes_on_where_it_was_stopped(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 240)
    images = rng.integers(0, 60, (240, 16, 16, 3), dtype=np.uint8)
    for picture, label in zip(images, truth, strict=True):
        picture[2:9, 2:9, label] += 120
    data = TrainingData(images[:180], truth[:180], images[180:], truth[180:])
    plan = replace(SPEED, size=16, epochs=4, batch=30, threads=1, precision="float32")

    def model() -> Classifier:
        torch.manual_seed(0)
        body, width = from_scratch("speednet", 32)
        made = Classifier(body, width, 3)
        body.network.whiten(made.normalise(torch.from_numpy(images)))
        return made

    whole = model()
    trained = train_network(whole, data, plan, tmp_path / "whole")
    assert trained.history[-1].val_accuracy > 0.9
    stopped = model()

    def halt(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(stopped, data, plan, tmp_path / "parts", on_epoch=halt)
    again = model()
    resumed = train_network(again, data, plan, tmp_path / "parts")
    assert resumed.resumed_from is not None
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
