"""The deep belief network: what its machines see, what pre-training leaves in the network, stopping and breaking down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pictures import drawn, pixels
from sightline.errors import DataError
from sightline.learn.layerwise import dbn, drawings
from sightline.learn.network import Classifier
from sightline.learn.reproduce import generator


@pytest.fixture
def images() -> np.ndarray:
    return np.stack([pixels(drawn(seed, (32, 32))) for seed in range(24)])


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(dbn, "PATCHES", 2000)
    monkeypatch.setattr(dbn, "LOWEST", replace(dbn.LOWEST, epochs=6, lr=0.1, sparsity=0.3))
    monkeypatch.setattr(dbn, "HIGHER", replace(dbn.HIGHER, epochs=3))


def network() -> Classifier:
    torch.manual_seed(0)
    return Classifier(*dbn.body("tiny"), 3)


def test_patches_are_what_a_convolution_sees():
    maps = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).view(2, 3, 4, 4)
    rows = dbn.patches(maps, 3, 40, generator(0, "", 0))
    every = torch.nn.functional.unfold(maps, 3, padding=1).transpose(1, 2).flatten(0, 1)
    assert all(bool((every == row).all(1).any()) for row in rows)


def test_whitened_rows_have_equal_variances():
    draws = generator(0, "", 0)
    rows = torch.randn(2000, 6, generator=draws) @ torch.randn(6, 6, generator=draws) + 3
    mean, move = dbn.whitening(rows)
    white = (rows - mean) @ move
    assert white.mean(0).abs().max() < 1e-3
    variances = torch.linalg.eigvalsh(white.T @ white / len(white))
    assert 0.9 < variances.max() < 1.01
    assert torch.linalg.cond(white) < torch.linalg.cond(rows - mean)


def test_machines_become_kernels_that_answer_alike(images, tmp_path):
    model = network()
    machines = dbn.pretrain(model, images, tmp_path, 0)
    assert len(machines) == 4
    assert machines[0].errors[-1] < 0.97 * machines[0].errors[0]
    lowest = model.backbone[0]
    maps = model.normalise(torch.from_numpy(images[:2]))
    with torch.inference_mode():
        answers = torch.sigmoid(lowest(maps)).permute(0, 2, 3, 1).flatten(0, 2)
        rows = torch.nn.functional.unfold(maps, 5, padding=2).transpose(1, 2).flatten(0, 1)
        asked = machines[0].rbm.up((rows - machines[0].mean) @ machines[0].move)
    assert torch.allclose(answers, asked, atol=1e-4)
    for sheet in (drawings.kernels(machines[0].weight), drawings.believed(machines[0], model, images, 0)):
        assert sheet.shape == (320, 320, 3)
        assert sheet.std() > 5


def test_again_is_the_same_and_goes_on_where_it_was(images, tmp_path):
    first, second = network(), network()
    dbn.pretrain(first, images, tmp_path / "a", 0)
    done = dbn.pretrain(first, images, tmp_path / "a", 0)  # answers from what was kept
    dbn.pretrain(second, images, tmp_path / "b", 0)
    assert len(done) == 4
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_a_machine_that_diverges_says_what_to_try(images, tmp_path, monkeypatch):
    monkeypatch.setattr(dbn, "LOWEST", replace(dbn.LOWEST, lr=500.0))
    with pytest.raises(DataError, match="broke down") as caught:
        dbn.pretrain(network(), images, tmp_path, 0)
    assert "--pretrain" in caught.value.hint
