"""Target `openvino`: the model as OpenVINO's own files, model.xml and model.bin, read back and run before they are kept.

Uses the reader of the package itself, not its converter, which reports to its makers (runtime/openvino.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import TargetError
from sightline.runtime.bundle import Bundle
from sightline.runtime.openvino import package
from sightline.targets.onnxfile import write_beside
from sightline.targets.readme import python, readme
from sightline.targets.target import Engine, Made, Wishes, lacks

XML = "model.xml"
_UNKNOWN = re.compile(
    r"does not support the following ONNX operations:\s*([^\n]+)|No conversion rule found for operations:\s*([^\n]+)"
)
_CODE = """
import numpy as np, openvino
{picture}
model = openvino.Core().compile_model("model.xml", "CPU")
print(model({{"image": np.asarray(picture)[None]}}))
"""


def write(bundle: Bundle, folder: Path, wishes: Wishes) -> Made:
    """Write model.xml, model.bin and what lies beside. `half`: weights as 16-bit floats, half the file.

    Raises MissingExtraError, TargetError (an operator that OpenVINO lacks).
    """
    vino = package()
    try:
        model = vino.Core().read_model(bundle.onnx)
        vino.save_model(model, str(folder / XML), compress_to_fp16=wishes.half)
        engine = _engine(vino, folder / XML)
    except Exception as error:  # its parsers raise what they like
        raise _refused(error, bundle) from error
    write_beside(bundle, folder, readme(bundle, XML, python(bundle, _CODE)))
    return Made(XML, engine)


def _engine(vino: Any, path: Path) -> Engine:
    """The files as a function, computed in float32 and on one thread as everything that certifies."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
    compiled = vino.Core().compile_model(str(path), "CPU", settings)
    names = [port.get_any_name() for port in compiled.outputs]
    request = compiled.create_infer_request()

    def run(values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        request.infer(dict(values))
        return {name: np.array(request.get_output_tensor(place).data) for place, name in enumerate(names)}

    return run


def _refused(error: Exception, bundle: Bundle) -> TargetError:
    found = _UNKNOWN.search(str(error))
    if found:
        return lacks("OpenVINO", re.findall(r"[\w.]+", found[1] or found[2]), bundle.card.name)
    return TargetError(f"OpenVINO cannot take this model: {str(error)[:300]}", hint="choose --to onnx or --to ort")
