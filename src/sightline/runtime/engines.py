"""Opens an ONNX graph on what this machine computes with: ONNX Runtime (CPU, CUDA, CoreML) or OpenVINO, behind one small face.

The only file that chooses a provider. Knows neither pictures nor what a graph answers; never asks the network.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sightline.errors import BundleError, MissingExtraError, SightlineError, UsageError, missing_extra
from sightline.settings import PROVIDERS, settings
from sightline.types import Card

OUTPUTS = ("probabilities", "embedding", "novelty")
# what ONNX Runtime calls them; "auto" takes the first of AUTO that is there
ONNX_RUNTIME = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider"}
AUTO = ("cuda", "cpu")
TITLES = {
    "cpu": "ONNX Runtime, CPU",
    "cuda": "ONNX Runtime, CUDA",
    "coreml": "ONNX Runtime, CoreML",
    "openvino": "OpenVINO, CPU",
    "openvino-bf16": "OpenVINO, CPU in bfloat16",
}
_INSTALL = {
    "cuda": "pip install onnxruntime-gpu in place of onnxruntime, on a machine with an NVIDIA GPU",
    "coreml": "CoreML is part of onnxruntime on macOS only; leave SIGHTLINE_PROVIDER away elsewhere",
}


class Port(Protocol):
    """An input or output of a graph: `type` is such as tensor(uint8), `shape` has a number or a name for each side."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def shape(self) -> Sequence[int | str | None]: ...


class Facts(Protocol):
    """What a graph says of itself."""

    @property
    def custom_metadata_map(self) -> Mapping[str, str]: ...


class Session(Protocol):
    """An opened graph, as ONNX Runtime's InferenceSession has it; `run` may be called by many threads at once."""

    def run(self, names: Sequence[str] | None, feed: Mapping[str, Any]) -> list[Any]: ...
    def get_inputs(self) -> Sequence[Port]: ...
    def get_outputs(self) -> Sequence[Port]: ...
    def get_modelmeta(self) -> Facts: ...
    def get_providers(self) -> Sequence[str]: ...


def open_session(onnx: bytes, card: Card | None = None, provider: str = "auto", threads: int | None = None) -> Session:
    """A session for sharing among threads; with a card its inputs, outputs and classes are checked against it.

    provider: one of settings.PROVIDERS; auto is CUDA where it is there, else the CPU, whatever SIGHTLINE_PROVIDER says: what a
    model is certified with must not depend on it. threads: how many call at once (default SIGHTLINE_THREADS), each on one core.
    Raises BundleError, MissingExtraError (asked for and not installed), UsageError (no such provider; no bfloat16 here).
    """
    check(provider)
    if provider.startswith("openvino"):
        from sightline.runtime.openvino import OpenVinoSession

        session: Session = OpenVinoSession(onnx, threads or settings().threads, bfloat16=provider == "openvino-bf16")
    else:
        session = _onnxruntime(onnx, provider)
    if card is not None:
        _check_graph(session, card)
    return session


def check(provider: str) -> None:
    """Raises MissingExtraError when what `provider` needs is not installed, UsageError for one that nobody knows."""
    if provider not in PROVIDERS:
        import difflib

        near = difflib.get_close_matches(provider, PROVIDERS, 1)
        known = f"known: {', '.join(PROVIDERS)}"
        raise UsageError(f"unknown provider {provider!r}", hint=f"did you mean {near[0]}?" if near else known)
    if provider == "auto" or provider in available():
        return
    if provider.startswith("openvino"):
        raise missing_extra("openvino", "computing with OpenVINO")
    raise _not_there(provider)


def available() -> tuple[str, ...]:
    """The providers that are installed, in the order of TITLES; what a driver or processor lacks shows when one is opened."""
    import onnxruntime as ort

    offered = set(ort.get_available_providers())
    found = [name for name, called in ONNX_RUNTIME.items() if called in offered]
    if importlib.util.find_spec("openvino") is not None:
        found += ["openvino", "openvino-bf16"]
    return tuple(found)


def chosen(provider: str | None = None) -> str:
    """What `provider` (default SIGHTLINE_PROVIDER) comes to here: auto becomes cuda or cpu. Errors as `check`."""
    wanted = provider or settings().provider
    check(wanted)
    there = available()
    return next(name for name in AUTO if name in there) if wanted == "auto" else wanted


def provider_of(session: Session) -> str:
    """The provider that an opened session computes with: a key of TITLES, or ONNX Runtime's own name for another one."""
    first = session.get_providers()[0]
    return next((name for name, called in ONNX_RUNTIME.items() if called == first), first)


def _onnxruntime(onnx: bytes, provider: str) -> Session:
    """One thread for each run: measured on CPUs, many callers of one session do more than one caller with many threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = True
    there = available()
    wanted = AUTO if provider == "auto" else (provider, "cpu") if provider != "cpu" else ("cpu",)
    try:
        session: Session = ort.InferenceSession(
            onnx, options, providers=[ONNX_RUNTIME[name] for name in wanted if name in there]
        )
    except Exception as error:  # onnxruntime raises a dozen types, some of them only RuntimeError
        raise unreadable(error) from error
    if provider != "auto" and provider_of(session) != provider:  # no device, no driver: ONNX Runtime goes on without a word
        raise _not_there(provider)
    return session


def unreadable(error: Exception) -> BundleError:
    return BundleError(f"model.onnx cannot be loaded: {error}", hint="copy the model again, or train it again")


def _not_there(provider: str) -> SightlineError:
    title = TITLES[provider].removeprefix("ONNX Runtime, ")
    return MissingExtraError(f"{title} was asked for, and ONNX Runtime cannot compute on it here", hint=_INSTALL[provider])


def _check_graph(session: Session, card: Card) -> None:
    names = {output.name for output in session.get_outputs()}
    missing = [name for name in OUTPUTS if name not in names]
    if missing or [entry.name for entry in session.get_inputs()] not in (["image"], ["keypoints"], ["clip"]):
        raise BundleError(f"model.onnx lacks {', '.join(missing) or 'the input image'}", hint="it was not made by sightline")
    classes = session.get_modelmeta().custom_metadata_map.get("sightline.classes")
    if classes is not None and tuple(json.loads(classes)) != card.classes:
        raise BundleError("card.json and model.onnx name different classes", hint="copy the model again, or train it again")
