"""An ONNX graph as this floor works on it: read, simplified, who makes and who takes each tensor, written with its metadata.

Knows nothing of quantisation, of pictures or of scores.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleError, DataError

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # operators whose second input is a matrix of weights
SPARE = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # sets of operators that our runtime has
_AGAIN = "give a model that `sightline train` made"


@dataclass(frozen=True, slots=True)
class Wiring:
    """Every tensor of a graph: its constant value, the node that makes it, the nodes that take it, whether it is float32."""

    constants: dict[str, NDArray[Any]]
    maker: dict[str, Any]
    takers: dict[str, list[Any]]
    floats: frozenset[str]
    outputs: frozenset[str]

    def weighted(self, node: Any) -> bool:
        """Whether the node multiplies what it is given with a constant matrix (Conv, Gemm, MatMul, ...)."""
        return node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in self.constants

    def given(self, node: Any) -> list[str]:
        """The float tensors, no constants, that a node takes."""
        return [name for name in node.input if name and name not in self.constants and name in self.floats]


def load_onnx() -> Any:
    """The package `onnx` with the parts used here, which it does not load by itself."""
    import onnx
    import onnx.checker
    import onnx.numpy_helper
    import onnx.shape_inference

    return onnx


def read(content: bytes) -> Any:
    """The graph of a model.onnx; BundleError for bytes that are none."""
    onnx = load_onnx()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, of a package we do not name
        raise BundleError(f"model.onnx cannot be read: {str(error)[:200]}", hint=_AGAIN) from error
    if not model.graph.node:
        raise BundleError("model.onnx holds no graph", hint=_AGAIN)
    return model


def write(model: Any, original: Any) -> bytes:
    """The changed graph as bytes, with the original's metadata and without operator sets that no node needs."""
    onnx = load_onnx()
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if ("" if entry.domain == "ai.onnx" else entry.domain) in used]
    versions = [(entry.domain, entry.version) for entry in kept]
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*entry) for entry in versions)
    del model.metadata_props[:]
    model.metadata_props.extend(original.metadata_props)
    del model.graph.value_info[:]
    model.ir_version = original.ir_version
    model.producer_name, model.graph.name = original.producer_name, original.graph.name
    content: bytes = model.SerializeToString()
    return content


def simplified(content: bytes) -> Any:
    """The same graph with its constants computed, BatchNorm and padding inside the convolutions, and every node named.

    Done by ONNX Runtime's first level of optimisation, which keeps to ONNX's own operators, after what is computed from the
    picture's size alone has become constant (padding as TensorFlow does it). BundleError when it cannot load it.
    """
    import onnxruntime as ort

    original = read(content)
    content = with_known_shapes(read(content)).SerializeToString()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        file = Path(folder) / "simplified.onnx"
        options.optimized_model_filepath = str(file)
        try:
            ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen types
            raise BundleError(f"model.onnx cannot be loaded: {str(error)[:200]}", hint=_AGAIN) from error
        model = read(file.read_bytes())
    known = {node.domain for node in original.graph.node}
    if any(node.domain not in known | {""} for node in model.graph.node):
        model = read(content)  # an operator of this runtime alone has come in: other targets could not read it
    taken = {node.name for node in model.graph.node}
    for place, node in enumerate(model.graph.node):
        if not node.name:
            node.name = next(name for name in (f"{node.op_type}.{place}", f"unnamed.{place}") if name not in taken)
    return model


def with_known_shapes(model: Any) -> Any:
    """The graph with constants for what nodes compute from shapes alone, where it is the same for one picture and for two."""
    onnx = load_onnx()
    graph = model.graph
    nodes = _about_shapes(graph)
    names = [name for node in nodes for name in node.output if name]
    values = _by_batch(model, names)
    if values is None:
        return model
    same = {name: one for name, one, two in zip(names, *values, strict=True) if np.array_equal(one, two)}
    made = [node for node in nodes if node.output[0] in same]
    for node in made:
        graph.node.remove(node)
    graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(same[node.output[0]]), node.output[0]) for node in made)
    for node in reversed([node for node in nodes if node.output[0] not in same]):
        wanted = {name for other in graph.node for name in other.input} | {one.name for one in graph.output}
        if node.output[0] not in wanted:  # a Shape whose numbers nobody needs any more
            graph.node.remove(node)
    return model


def _about_shapes(graph: Any) -> list[Any]:
    """The nodes with one output that need no numbers of the picture: Shape, and what takes only constants and such nodes'."""
    constants = {one.name for one in graph.initializer} | {node.output[0] for node in graph.node if node.op_type == "Constant"}
    known: set[str] = set()
    found = []
    for node in graph.node:
        given = {name for name in node.input if name}
        inner = any(one.HasField("g") or one.graphs for one in node.attribute)
        follows = given & known and given <= known | constants and not inner
        if len(node.output) == 1 and (node.op_type == "Shape" or follows):
            known.add(node.output[0])
            found.append(node)
    return found


def _by_batch(model: Any, names: list[str]) -> tuple[list[Any], list[Any]] | None:
    """The tensors' values for one picture and for two; None where there are none, or the picture's size is free."""
    import onnxruntime as ort

    onnx = load_onnx()
    held = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in held]
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else [0]
    if not names or not all(sides[1:]):
        return None
    shown = type(model).FromString(model.SerializeToString())
    shown.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    kind = onnx.helper.tensor_dtype_to_np_dtype(inputs[0].type.tensor_type.elem_type)
    try:
        session = ort.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
        first, second = (
            session.run(names, {inputs[0].name: np.zeros((count, *sides[1:]), kind)})
            for count in (sides[0] or 1, sides[0] or 2)
        )
    except Exception:  # onnxruntime raises a dozen types; a graph that does not run as it is stays as it is
        return None
    return first, second


def wiring(model: Any) -> Wiring:
    """Who makes, takes and holds what in a graph; the constants of `Constant` nodes count as constants too."""
    onnx = load_onnx()
    graph = model.graph
    to_array = onnx.numpy_helper.to_array
    constants = {one.name: to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = to_array(node.attribute[0].t)
    takers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shown = [*inferred.value_info, *inferred.input, *inferred.output]
    return Wiring(
        constants=constants,
        maker={name: node for node in graph.node for name in node.output},
        takers=takers,
        floats=frozenset(one.name for one in shown if one.type.tensor_type.elem_type == onnx.TensorProto.FLOAT),
        outputs=frozenset(one.name for one in graph.output),
    )


def picture_input(model: Any, images: NDArray[np.uint8]) -> str:
    """The name of the input that prepared pictures go into; DataError when these pictures do not fit it."""
    given = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in given]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != load_onnx().TensorProto.UINT8:
        names = ", ".join(one.name for one in inputs)
        raise DataError(f"the model takes {names}, not pictures uint8 (n, size, size, 3)", hint=_AGAIN)
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim]
    fits = images.ndim == len(sides) and all(side in (0, has) for side, has in zip(sides[1:], images.shape[1:], strict=True))
    if images.dtype != np.uint8 or not fits:
        wanted = ", ".join(str(side or "any") for side in sides[1:])
        raise DataError(
            f"the model takes pictures uint8 (n, {wanted}), got {images.dtype} {images.shape}",
            hint="prepare them with the model's own input specification",
        )
    name: str = inputs[0].name
    return name


def float_bytes(model: Any) -> int:
    """How many bytes of float32 a graph's constants have: what can become smaller."""
    onnx = load_onnx()
    return sum(4 * size(one.dims) for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT)


def size(dims: Iterable[int]) -> int:
    return int(np.prod(list(dims), dtype=np.int64))


def drop_unused(model: Any) -> None:
    """Take away the constants that no node and no output uses any more."""
    used = {name for node in model.graph.node for name in node.input} | {one.name for one in model.graph.output}
    kept = [one for one in model.graph.initializer if one.name in used]
    if len(kept) < len(model.graph.initializer):
        copies = [type(one).FromString(one.SerializeToString()) for one in kept]
        del model.graph.initializer[:]
        model.graph.initializer.extend(copies)
