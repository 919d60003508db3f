"""Where the weights come from, and that it is said: folder, hub (a stand-in on this machine), another network, none."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from sightline import progress
from sightline.errors import DataError, UsageError
from sightline.learn import backbones
from sightline.learn.backbones import build, choose, from_hub, header, named
from sightline.settings import settings

NETWORK = "test_efficientnet"  # timm's own tiny network: 0.4 M parameters

pytestmark = pytest.mark.deep


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path))
    settings.cache_clear()
    return tmp_path


@pytest.fixture
def notes() -> Iterator[list[str]]:
    said: list[str] = []
    with progress.listen(lambda event: said.append(event.note)):
        yield said


def saved(path: Path, network: str = NETWORK, **metadata: str) -> Path:
    """Random weights in timm's layout, with their classifier."""
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    save_file(timm.create_model(network, num_classes=7).state_dict(), path, {"format": "pt", **metadata})
    return path


def bare(path: Path, **metadata: str) -> Path:
    """A safetensors file with one small tensor, written by hand."""
    content = {"__metadata__": metadata, "x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    text = json.dumps(content).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + np.zeros(2, np.float32).tobytes())
    return path


def test_the_dials_network_from_the_folder(folder: Path):
    bare(folder / "mobilenetv2_100.safetensors", pad_type="same", mean="0.5,0.5,0.5", std="0.5,0.4,0.5")
    found = choose("small")
    assert found is not None
    assert (found.name, found.weights, found.why) == ("mobilenetv2_100", "mobilenetv2_100.safetensors", "")
    assert found.options == (("pad_type", "same"),)
    assert (found.input.size, found.input.fit, found.input.interpolation) == (224, "pad", "bicubic")
    assert (found.input.mean, found.input.std) == ((0.5, 0.5, 0.5), (0.5, 0.4, 0.5))


def test_a_name_with_its_tag_is_preferred(folder: Path):
    bare(folder / "mobilenetv2_100.safetensors")
    bare(folder / "mobilenetv2_100.ra_in1k.safetensors")
    found = choose("small", input_size=160, fit="crop")
    assert found is not None
    assert found.weights == "mobilenetv2_100.ra_in1k.safetensors"
    assert (found.input.size, found.input.fit, found.input.mean) == (160, "crop", backbones.IMAGENET[0])


def test_the_key_changes_with_whatever_changes_features(folder: Path):
    path = bare(folder / "mobilenetv2_100.safetensors")
    keys = [choose("small"), choose("small", input_size=192)]
    bare(path, pad_type="same")
    keys.append(choose("small"))
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    keys.append(choose("small"))
    assert len({start.key for start in keys if start}) == 4


def test_another_network_in_the_folder_is_taken_and_said(folder: Path, notes: list[str]):
    bare(folder / "resnet50.safetensors")
    bare(folder / "notes_of_mine.safetensors")
    found = choose("small")
    assert found is not None
    assert found.name == "resnet50"
    assert "no weights of mobilenetv2_100" in found.why
    assert found.why in notes


def test_without_weights_our_own(notes: list[str]):
    found = choose("small")
    assert found is not None
    assert found.packaged
    assert found.why in notes


def test_a_named_network_without_weights_is_said(notes: list[str]):
    assert named("resnet50") is None
    assert "resnet50.safetensors" in notes[-1]


def test_an_unknown_name_names_the_nearest():
    pytest.importorskip("timm")
    with pytest.raises(UsageError) as caught:
        named("mobilenetv2_10")
    assert "mobilenetv2_100" in caught.value.hint


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:4],
        lambda whole: b"<html>not found</html>" * 40,
        lambda whole: whole[:-3],
        lambda whole: whole + b"more",
        lambda whole: whole[:8] + b"[" + whole[9:],
    ],
    ids=["empty", "stub", "html", "cut off", "too long", "header"],
)
def test_a_damaged_file_is_refused(folder: Path, damage: Callable[[bytes], bytes]):
    path = bare(folder / "mobilenetv2_100.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="no usable weights file") as caught:
        choose("small")
    assert "again" in caught.value.hint


def test_what_the_file_says_must_make_sense(folder: Path):
    bare(folder / "mobilenetv2_100.safetensors", mean="half", std="0.5,0.5,0.5")
    with pytest.raises(DataError, match="half"):
        choose("small")


def test_build_gives_pooled_features_of_two_stages(folder: Path):
    torch = pytest.importorskip("torch")
    saved(folder / f"{NETWORK}.safetensors", pad_type="same")
    start = named(NETWORK, input_size=64)
    assert start is not None
    module, width = build(start)
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        found, alone = module(x), module.network(x)
    assert found.shape == (2, width)
    assert width > alone.shape[1]
    assert torch.equal(found[:, : alone.shape[1]], alone)


def test_build_refuses_weights_of_another_network(folder: Path):
    saved(folder / f"{NETWORK}.safetensors", "test_resnet")
    start = named(NETWORK)
    assert start is not None
    with pytest.raises(DataError, match="does not fit the network test_efficientnet"):
        build(start)


class _Hub(BaseHTTPRequestHandler):
    """Answers for one file of one repository as the hub does."""

    content = b""
    asked: list[str] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        good = self.path.endswith("/timm/net.tag/resolve/main/model.safetensors")
        self.send_response(200 if good else 404)
        if good:
            self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "a" * 40)
        else:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(self.content) if good else 0))
        self.end_headers()
        if body and good:
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    _Hub.content, _Hub.asked = bare(tmp_path / "x").read_bytes(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "0")
    settings.cache_clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_hub_is_asked_once_and_its_file_kept(hub: str):
    pytest.importorskip("huggingface_hub")
    path = from_hub("timm/net.tag", hub)
    assert path is not None
    assert path.read_bytes() == _Hub.content
    assert path.is_relative_to(settings().cache)
    assert header(path) == {}
    asked = len(_Hub.asked)
    assert from_hub("timm/net.tag", hub) == path
    assert len(_Hub.asked) == asked


def test_a_hub_without_the_network_is_said(hub: str, notes: list[str]):
    pytest.importorskip("huggingface_hub")
    assert from_hub("timm/other.tag", hub) is None
    assert "has not given timm/other.tag" in notes[-1]


def test_a_hub_that_is_not_there_is_said_without_long_waiting(hub: str, notes: list[str]):
    pytest.importorskip("huggingface_hub")
    assert from_hub("timm/net.tag", "http://127.0.0.1:9") is None
    assert "has not given timm/net.tag" in notes[-1]
    assert not _Hub.asked


def test_offline_asks_nobody(hub: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    settings.cache_clear()
    assert from_hub("timm/net.tag", hub) is None
    assert not _Hub.asked
