"""From torch to ONNX: the same embeddings, made once, and nothing of the network changed."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.learn import graph
from sightline.learn.backbones import Start
from sightline.runtime.engines import open_session
from sightline.settings import settings
from sightline.types import InputSpec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.deep


def test_a_network_and_its_graph_agree_and_the_network_stays_in_evaluation_mode():
    from sightline.learn.network import Classifier, small_resnet

    torch.manual_seed(0)
    network = Classifier(*small_resnet("tiny"), 3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    session = open_session(graph.embedding_graph(network, 32))
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    assert not any(module.training for module in network.modules())
    with torch.inference_mode():
        expected = network.embed(network.normalise(torch.from_numpy(images))).numpy()
    assert session.run(["embedding"], {"image": images})[0] == pytest.approx(expected, abs=1e-4)
    assert session.run(["embedding"], {"image": images[:1]})[0] == pytest.approx(expected[:1], abs=1e-4)


def test_the_graph_of_a_backbone_is_made_once(tmp_path, monkeypatch: pytest.MonkeyPatch):
    made: list[int] = []
    monkeypatch.setattr(graph, "classifier", lambda start, classes: None)
    monkeypatch.setattr(graph, "embedding_graph", lambda network, size: (made.append(size), b"graph")[1])
    start = Start("net", tmp_path / "net.safetensors", "net.safetensors", InputSpec(size=96), (), "abc")
    first, second = graph.backbone_graph(start), graph.backbone_graph(start)
    assert first == second == (b"graph", f"abc-{graph.VERSION}")
    assert made == [96]
    assert (settings().cache / "backbones" / f"abc-{graph.VERSION}.onnx").read_bytes() == b"graph"
