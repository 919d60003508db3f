"""The denoising autoencoder: takes noise from drawn pictures, in torch and in ONNX, alone and in front of another graph."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from pictures import drawn, pixels
from sightline.learn import graph
from sightline.learn.layerwise import autoencoder, drawings
from sightline.learn.layerwise.denoiser import Denoiser, exported
from sightline.learn.network import Classifier


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([pixels(drawn(seed, (48, 48))) for seed in range(40)])


@pytest.fixture(scope="module")
def taught(images, tmp_path_factory):
    torch.manual_seed(0)
    encoder = autoencoder.Encoder("tiny")
    classifier = Classifier(encoder, encoder.width, 2)
    whole = autoencoder.whole(classifier, "tiny", 0)
    errors = autoencoder.pretrain(whole, images[:32], tmp_path_factory.mktemp("run"), 0, steps=150)
    return classifier, whole, errors


def test_noise_goes(taught, images):
    classifier, whole, errors = taught
    assert errors[-1] < 0.6 * errors[0]
    before, after = autoencoder.psnr(whole, images[32:], 1)
    assert after > before + 2
    assert whole.encoder is classifier.backbone  # what it has learned, the classifier has learned
    assert drawings.mended(whole, images[32:], 0).shape == (320, 320, 3)


def test_noise_stays_in_range(images):
    clean = torch.from_numpy(images[:4]).permute(0, 3, 1, 2).float() / 255
    given = autoencoder.noisy(clean, torch.Generator().manual_seed(0))
    assert given.shape == clean.shape
    assert 0 <= float(given.min()) < float(given.max()) <= 1
    assert not torch.equal(given, clean)


@pytest.mark.parametrize("side", [48, 64])
def test_the_exported_denoiser_answers_like_torch(taught, side):
    _, whole, _ = taught
    images = np.random.default_rng(0).integers(0, 255, (3, side, side, 3), dtype=np.uint8)
    with torch.inference_mode():
        clean = whole(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).clamp(0, 1)
    wanted = (clean * 255).round().permute(0, 2, 3, 1).numpy()
    found = Denoiser(exported(whole, 48), "")(images)
    assert found.dtype == np.uint8
    assert np.abs(found - wanted).max() <= 1


def test_in_front_of_another_graph_it_is_the_same_as_before_it(taught, images):
    classifier, whole, _ = taught
    denoiser = Denoiser(exported(whole, 48), "")
    embedding = graph.embedding_graph(classifier, 48)

    def run(content: bytes, given: np.ndarray) -> np.ndarray:
        return onnxruntime.InferenceSession(content).run(["embedding"], {"image": given})[0]

    together, apart = run(denoiser.front(embedding), images[:3]), run(embedding, denoiser(images[:3]))
    assert np.allclose(together, apart, atol=1e-3)


def test_any_side_can_be_denoised(taught, images):
    denoiser = Denoiser(exported(taught[1], 48), "")
    assert denoiser(images[:2, :45, :37]).shape == (2, 45, 37, 3)
    assert denoiser(images[:0]).shape == (0, 48, 48, 3)
