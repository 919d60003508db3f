"""What computes: the same answers from ONNX Runtime and OpenVINO, from many threads; what is not there is said; no network."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bundles import tiny_bundle, tiny_card, tiny_onnx
from finders import finder_bundle, scene
from pictures import drawn, pixels
from sightline.errors import BundleError, MissingExtraError, UsageError
from sightline.runtime import engines
from sightline.runtime.detector import Detector
from sightline.runtime.model import Model, load
from sightline.settings import PROVIDERS, read_settings, settings

needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra 'openvino'")
FAST = ["openvino", "openvino-bf16"]


def images(count: int, side: int = 32) -> np.ndarray:
    return np.stack([np.asarray(drawn(seed, (side, side)).convert("RGB")) for seed in range(count)])


def test_auto_is_the_cpu_where_no_gpu_is_there(tmp_path: Path) -> None:
    if "cuda" in engines.available():
        pytest.skip("this machine has CUDA")
    assert engines.chosen() == engines.chosen("auto") == "cpu"
    assert load(tiny_bundle(tmp_path / "m")).provider == "cpu"


@needs_openvino
@pytest.mark.parametrize("count", [0, 1, 5])
def test_openvino_answers_as_onnx_runtime_does(count: int) -> None:
    onnx, given = tiny_onnx(tiny_card()), {"image": images(5)[:count]}
    expected = engines.open_session(onnx, provider="cpu").run(None, given)
    for provider, near in zip(FAST, (1e-5, 0.02), strict=True):
        session = engines.open_session(onnx, tiny_card(), provider)
        found = session.run(None, given)
        assert engines.provider_of(session) == provider
        assert [one.shape for one in found] == [one.shape for one in expected]
        for one, other, scale in zip(found, expected, (1, 1, 255), strict=True):
            np.testing.assert_allclose(one, other, atol=near * scale)


@needs_openvino
def test_openvino_tells_ports_and_metadata_in_the_same_words() -> None:
    onnx = tiny_onnx(tiny_card())
    one, other = (engines.open_session(onnx, provider=name) for name in ("cpu", "openvino"))
    assert other.get_modelmeta().custom_metadata_map == one.get_modelmeta().custom_metadata_map
    for ports in ("get_inputs", "get_outputs"):
        told = [[(port.name, port.type) for port in getattr(session, ports)()] for session in (one, other)]
        assert told[0] == told[1]
    assert list(other.get_inputs()[0].shape) == [None, 32, 32, 3]
    wanted = other.run(["novelty", "probabilities"], {"image": images(2)})
    assert [value.shape for value in wanted] == [(2,), (2, 3)]


@needs_openvino
def test_openvino_is_safe_from_many_threads() -> None:
    session = engines.open_session(tiny_onnx(tiny_card()), provider="openvino", threads=3)
    pictures = images(24)
    expected = session.run(["embedding"], {"image": pictures})[0]

    def alone(place: int) -> np.ndarray:
        kept = session.run(["embedding"], {"image": pictures[place : place + 1]})[0]
        session.run(["embedding"], {"image": pictures[-1:]})  # another run must not write over what was given
        return kept

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(alone, range(24)))
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)


@needs_openvino
@pytest.mark.parametrize("provider", FAST)
def test_a_detector_finds_the_same(tmp_path: Path, provider: str) -> None:
    path = finder_bundle(tmp_path / "f")
    picture = pixels(scene({"red": (10, 20, 60, 70), "blue": (90, 60, 140, 110)}))
    expected = load(path, provider="cpu").predict(picture)
    detector = load(path, provider=provider)
    assert isinstance(detector, Detector)
    found = detector.predict(picture)
    assert [one.label for one in found.labels] == [one.label for one in expected.labels]
    for one, other in zip(found.labels, expected.labels, strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=2)  # type: ignore[arg-type]


@needs_openvino
def test_the_setting_is_for_answering_not_for_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_PROVIDER", "openvino-bf16")
    settings.cache_clear()
    model = load(tiny_bundle(tmp_path / "m"))
    assert isinstance(model, Model)
    assert model.provider == "openvino-bf16"
    assert engines.provider_of(engines.open_session(tiny_onnx(tiny_card()))) in ("cpu", "cuda")


@needs_openvino
def test_openvino_never_speaks_to_its_makers() -> None:
    """Its own import sends an event over the network; ours leaves that part out, and gives it back to who wants it."""
    code = """
import json, sys
asked = []
sys.addaudithook(lambda event, _: asked.append(event) if event.startswith(("socket.", "os.fork", "subprocess.")) else None)
from sightline.runtime.openvino import package
vino = package()
vino.Core().get_property("CPU", "FULL_DEVICE_NAME")
print(json.dumps([asked, [n for n in sys.modules if "telemetry" in n], "openvino.tools.ovc" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == [[], [], False]


@pytest.mark.parametrize("provider", ["cuda", "coreml", "openvino"])
def test_what_is_not_there_is_said_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    monkeypatch.setattr(engines, "available", lambda: ("cpu",))
    with pytest.raises(MissingExtraError) as caught:
        load(tiny_bundle(tmp_path / "m"), provider=provider)
    assert "install" in caught.value.hint or "macOS" in caught.value.hint


def test_a_provider_that_is_installed_but_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime falls back to the CPU without a word; asked for by name, that is an error."""
    import onnxruntime

    fallen = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(engines, "available", lambda: ("cpu", "cuda"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: fallen)
    with pytest.raises(MissingExtraError, match="CUDA"):
        engines.open_session(tiny_onnx(tiny_card()), provider="cuda")


def test_unknown_provider_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        engines.open_session(b"", provider="openvin")
    assert "openvino" in caught.value.hint


@pytest.mark.parametrize("provider", ["cpu", pytest.param("openvino", marks=needs_openvino)])
def test_a_broken_graph_is_a_bundle_error(provider: str) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        engines.open_session(b"no graph at all", provider=provider)


@pytest.mark.parametrize("provider", ["cpu", pytest.param("openvino", marks=needs_openvino)])
def test_classes_of_card_and_graph_must_agree(provider: str) -> None:
    with pytest.raises(BundleError, match="different classes"):
        engines.open_session(tiny_onnx(tiny_card()), tiny_card(classes=("a", "b", "c")), provider)


def test_the_setting() -> None:
    assert read_settings({}).provider == "auto"
    assert read_settings({"SIGHTLINE_PROVIDER": "OpenVINO"}).provider == "openvino"
    with pytest.raises(UsageError, match="openvino-bf16"):
        read_settings({"SIGHTLINE_PROVIDER": "gpu"})
    assert set(engines.TITLES) == set(PROVIDERS) - {"auto"}


def test_importing_engines_brings_no_engine() -> None:
    code = "import sys, sightline.runtime.engines; print([n for n in ('openvino', 'onnxruntime') if n in sys.modules])"
    environ = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
