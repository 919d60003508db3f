"""An ONNX graph opened by OpenVINO (extra `openvino`), with the face of `engines.Session`. Never asks the network.

Imported by `engines.open_session` alone. Knows neither pictures nor what a graph answers.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError, missing_extra
from sightline.runtime.engines import unreadable

_CONVERTER = "openvino.tools.ovc"  # importing it reports to the makers; it turns other formats into theirs, ONNX needs none
_TYPES = {"u8": "uint8", "i8": "int8", "i32": "int32", "i64": "int64", "f16": "float16", "f32": "float", "boolean": "bool"}
_importing = threading.Lock()


def package() -> ModuleType:
    """The package openvino, imported so that it does not report to its makers; MissingExtraError.

    Its own __init__ imports the converter, which sends an event over the network unless a person has declined. Without the
    converter it does nothing of the kind (and loads in a third of the time); who imports the converter later gets it as ever.
    """
    with _importing:
        hidden = _CONVERTER not in sys.modules and "openvino" not in sys.modules
        if hidden:
            sys.modules[_CONVERTER] = None  # type: ignore[assignment] # Python's way to say: not to be found
        try:
            return importlib.import_module("openvino")
        except ModuleNotFoundError as error:
            raise missing_extra("openvino", "computing with OpenVINO") from error
        finally:
            if hidden:
                del sys.modules[_CONVERTER]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output, in ONNX Runtime's words; a free side is None."""

    name: str
    type: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    custom_metadata_map: Mapping[str, str]


class OpenVinoSession:
    """A compiled graph for the CPU; safe to call from many threads: each call takes a request that nobody uses."""

    def __init__(self, onnx: bytes, threads: int, *, bfloat16: bool = False) -> None:
        """threads: how many calls are worked on at once, each on one core. bfloat16: compute in it where a layer can.

        Float graphs are else computed in float32 as they are: of its own accord OpenVINO would choose bfloat16 where the
        processor has it. Raises BundleError, MissingExtraError, UsageError (a processor without bfloat16).
        """
        vino = package()
        core = vino.Core()
        if bfloat16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise UsageError("this processor does not compute in bfloat16", hint="set SIGHTLINE_PROVIDER=openvino")
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        try:
            model = core.read_model(onnx)
            self._inputs = [_port(one) for one in model.inputs]
            self._outputs = [_port(one) for one in model.outputs]
            self._rows = _only_batch_is_free(self._inputs, self._outputs)
            if self._rows:
                model.reshape({port.name: [1, *port.shape[1:]] for port in self._inputs})
            self._compiled = core.compile_model(model, "CPU", settings)
        except Exception as error:  # it raises RuntimeError and what its parsers raise
            raise unreadable(error) from error
        self._facts = Facts(_metadata(model))
        self._places = {port.name: place for place, port in enumerate(self._outputs)}
        self._name = "openvino-bf16" if bfloat16 else "openvino"
        self._free: deque[Any] = deque()

    def run(self, names: Sequence[str] | None, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs named (None: all, in the graph's order), as arrays of the caller's own."""
        wanted = range(len(self._outputs)) if names is None else [self._places[name] for name in names]
        count = len(next(iter(feed.values()))) if self._rows else 1
        if not self._rows or count == 1:
            return self._run(wanted, feed)
        rows = range(max(1, count))  # of no pictures one made of zeros, for the shapes
        parts = [
            self._run(wanted, {name: _row(given, row) if count else _nothing(given) for name, given in feed.items()})
            for row in rows
        ]
        return [np.concatenate(values)[:count] for values in zip(*parts, strict=True)]

    def _run(self, wanted: Sequence[int], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            request = self._free.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        request.infer(dict(feed), share_inputs=True)
        answers = [np.array(request.get_output_tensor(place).data) for place in wanted]
        self._free.append(request)  # not after an error: such a request is left to be collected
        return answers

    def get_inputs(self) -> Sequence[Port]:
        return self._inputs

    def get_outputs(self) -> Sequence[Port]:
        return self._outputs

    def get_modelmeta(self) -> Facts:
        return self._facts

    def get_providers(self) -> Sequence[str]:
        return (self._name,)


def _only_batch_is_free(inputs: Sequence[Port], outputs: Sequence[Port]) -> bool:
    """Whether a picture is a row of every input and output: then the graph is compiled for one picture.

    Fixed sizes compute faster (a seventh, MobileNetV2), and several pictures at once gain nothing on a CPU.
    """
    ports = [*inputs, *outputs]
    return all(port.shape and port.shape[0] is None for port in ports) and all(None not in port.shape[1:] for port in inputs)


def _row(given: NDArray[Any], row: int) -> NDArray[Any]:
    return given[row : row + 1]


def _nothing(given: NDArray[Any]) -> NDArray[Any]:
    return np.zeros((1, *given.shape[1:]), given.dtype)


def _port(port: Any) -> Port:
    kind = port.element_type.get_type_name()
    sides = tuple(None if side.is_dynamic else side.get_length() for side in port.partial_shape)
    return Port(port.get_any_name(), f"tensor({_TYPES.get(kind, kind)})", sides)


def _metadata(model: Any) -> dict[str, str]:
    """The graph's own words, which OpenVINO keeps under the name of the framework."""
    if not model.has_rt_info(["framework"]):
        return {}
    kept = model.get_rt_info(["framework"]).value
    return {str(key): str(value) for key, value in kept.items()} if isinstance(kept, dict) else {}
