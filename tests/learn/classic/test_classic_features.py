"""Hand-made features: the graph computes what the paper's formula says, and what is drawn is what is there."""

from __future__ import annotations

import numpy as np
import pytest

from pictures import drawn, pixels
from sightline.errors import BundleError, MissingExtraError
from sightline.learn.classic import drawings
from sightline.runtime import keypoints

pytestmark = pytest.mark.deep
torch = pytest.importorskip("torch")

from sightline.learn import graph  # noqa: E402
from sightline.learn.classic.bags import Bag  # noqa: E402
from sightline.learn.classic.features import Colour, Hog, Texture, uniform_patterns  # noqa: E402
from sightline.learn.classic.windows import Windows, reaches  # noqa: E402
from sightline.learn.classic.words import Vocabulary  # noqa: E402
from sightline.runtime.engines import open_session  # noqa: E402


def pictures(count: int = 4, side: int = 64) -> np.ndarray:
    return np.stack([pixels(drawn(seed, (side, side))) for seed in range(count)])


def run(module: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module.eval()(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize(("kind", "width"), [(Hog, 1764), (Colour, 64 + 6 * 29), (Texture, 3 * 236 + 40)])
def test_the_graph_answers_like_torch(kind: type, width: int):
    images = pictures()
    session = open_session(graph.exported(kind().eval(), torch.from_numpy(images[:2]), "image"))
    told = session.run(["embedding"], {"image": images})[0]
    assert told.shape == (4, width)
    np.testing.assert_allclose(told, run(kind(), images), atol=1e-4)
    assert np.isfinite(session.run(["embedding"], {"image": np.full((1, 64, 64, 3), 128, np.uint8)})[0]).all(), "a flat picture"


def test_windows_answer_like_torch_for_any_number_of_pictures():
    images = pictures(3)
    vocabulary = Vocabulary(np.zeros(128), np.eye(128)[:, :20], np.random.default_rng(0).normal(0, 0.1, (7, 20)))
    for vlad, length in ((False, 35), (True, 140)):
        whole = torch.nn.Sequential(Windows(), Bag(vocabulary, vlad=vlad)).eval()
        session = open_session(graph.exported(whole, torch.from_numpy(images[:2]), "image"))
        for count in (1, 3):
            told = session.run(["embedding"], {"image": images[:count]})[0]
            assert told.shape == (count, length)
            np.testing.assert_allclose(told, run(whole, images[:count]), atol=1e-4)
            np.testing.assert_allclose((told**2).sum(axis=1), 1, atol=1e-3)
    rows = run(Windows(), images)
    assert rows.shape[1] == len(reaches(64))
    assert np.abs(run(Windows(), np.full((1, 64, 64, 3), 90, np.uint8))[..., 3:]).max() < 0.05, "nothing to describe"


def test_windows_tell_light_edges_from_dark_ones():
    ramp = np.tile(np.linspace(0, 250, 64).astype(np.uint8)[None, :, None], (1, 64, 1, 3))
    sums = [run(Windows(), image)[0, :, 3:].sum(axis=0).reshape(16, 8).sum(axis=0) for image in (ramp, ramp[:, :, ::-1].copy())]
    assert [int(one.argmax()) for one in sums] == [0, 4]


def test_hog_sees_orientation():
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::8] = stripes[:, :, 1::8] = 255  # vertical edges
    upright = Hog().eval().cells(torch.from_numpy(stripes)).sum(dim=(0, 2, 3))
    lying = Hog().eval().cells(torch.from_numpy(stripes.transpose(0, 2, 1, 3).copy())).sum(dim=(0, 2, 3))
    assert int(upright.argmax()) == 0
    assert int(lying.argmax()) in (4, 5)
    assert drawings.cell_histograms(stripes[0]).sum(axis=(0, 1)).argmax() == 0


def test_hog_hardly_minds_less_light():
    image = pictures(1)
    dimmed = (image * 0.6).astype(np.uint8)
    bright, dim = run(Hog(), image)[0], run(Hog(), dimmed)[0]
    assert float(bright @ dim / np.linalg.norm(bright) / np.linalg.norm(dim)) > 0.95


def test_patterns_are_counted():
    assert len(set(uniform_patterns())) == 59
    grey = np.random.default_rng(0).integers(0, 255, (18, 18), dtype=np.uint8)
    shares = run(Texture(), np.repeat(grey[None, :, :, None], 3, axis=3))[0, : 4 * 59].reshape(59, 4) ** 2
    circle = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    ragged = 0
    for y in range(1, 17):
        for x in range(1, 17):
            bits = [int(grey[y + dy, x + dx]) >= int(grey[y, x]) for dy, dx in circle]
            ragged += sum(bits[i] != bits[i - 1] for i in range(8)) > 2
    assert float(shares[58].mean()) == pytest.approx(ragged / 256, abs=1e-4)
    assert shares.sum(axis=0) == pytest.approx(np.ones(4), abs=1e-3)


def test_colour_tells_red_from_cyan():
    red = np.tile(np.array([200, 0, 0], np.uint8), (1, 64, 64, 1))
    cyan = np.tile(np.array([0, 200, 200], np.uint8), (1, 64, 64, 1))
    one, other = run(Colour(), red)[0, 64:76], run(Colour(), cyan)[0, 64:76]
    assert (int(one.argmax()), int(other.argmax())) == (0, 6)


@pytest.mark.parametrize("kind", ["sift", "surf"])
def test_keypoints_and_their_bags(kind: str):
    pytest.importorskip(keypoints.LIBRARIES[kind])
    images = pictures(2, 96)
    found = keypoints.describe(kind, images)
    width = keypoints.WIDTHS[kind]
    assert found.shape[2] == 3 + width
    assert (found == keypoints.describe(kind, images)).all()
    assert found[..., 1:3].min() >= 0
    assert found[..., 1:3].max() <= 1
    assert keypoints.describe(kind, np.zeros((1, 32, 32, 3), np.uint8)).shape[1] >= 1, "a flat picture has its grid"
    words = np.ascontiguousarray(found[0, :7, 3:] * np.linspace(0.5, 1, 7, dtype=np.float32)[:, None])
    for vlad, length in ((False, 35), (True, 7 * width)):
        bag = Bag(Vocabulary(found[0, :, 3:].mean(axis=0), np.eye(width, dtype=np.float32), words), vlad=vlad).eval()
        example = torch.zeros(2, 5, 3 + width)
        session = open_session(graph.exported(bag, example, "keypoints", free=2, facts={keypoints.METADATA: kind}))
        told = session.run(["embedding"], keypoints.feed(session)(images))[0]
        assert told.shape == (2, length)
        np.testing.assert_allclose(told, run(bag, found), atol=1e-5)
    padded = np.concatenate([found, np.zeros((2, 9, 3 + width), np.float32)], axis=1)
    np.testing.assert_allclose(run(bag, padded), run(bag, found), atol=1e-5, err_msg="padding counts for nothing")


def test_keypoints_need_their_library(monkeypatch: pytest.MonkeyPatch):
    bag = Bag(Vocabulary(np.zeros(128), np.eye(128), np.eye(4, 128)), vlad=False).eval()
    facts = {keypoints.METADATA: "sift"}
    session = open_session(graph.exported(bag, torch.zeros(2, 5, 131), "keypoints", free=2, facts=facts))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="SIFT"):
        keypoints.feed(session)
    with pytest.raises(BundleError):
        keypoints.check("orb")


@pytest.mark.parametrize("features", ["hog", "colour", "texture", "sift", "surf:vlad"])
def test_drawings(features: str):
    kind = features.partition(":")[0]
    if kind in keypoints.LIBRARIES:
        pytest.importorskip(keypoints.LIBRARIES[kind])
    shown, caption = drawings.draw(features, pictures(1)[0])
    assert shown.shape == (drawings.SIDE, drawings.SIDE, 3)
    assert shown.std() > 5
    assert caption
