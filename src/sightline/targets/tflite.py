"""Target `tflite`: a file for LiteRT (TensorFlow Lite), made from the ONNX graph by onnx2tf where that is installed, and run.

onnx2tf needs Python 3.12 and other versions than the extra `deep`, so it has an environment of its own and is no extra of ours.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import MissingExtraError, TargetError
from sightline.runtime.bundle import ONNX, Bundle
from sightline.runtime.engines import open_session
from sightline.targets.onnxfile import write_beside
from sightline.targets.readme import python, readme
from sightline.targets.target import Engine, Made, Wishes, lacks

TFLITE = "model.tflite"
CONVERTER, VERSION = "onnx2tf", "2.6.9"  # the version that this was tried with
_COMMANDS = (
    f"python3.12 -m venv tflite && tflite/bin/pip install sightline {CONVERTER}=={VERSION} && "
    "tflite/bin/sightline export MODEL --to tflite"
)
_UNKNOWN = re.compile(r"(?:not supported|unsupported|no (?:builder|lowering|handler))\D{0,40}?\b([A-Z]\w+)", re.I)
_CODE = """
import numpy as np
from ai_edge_litert.interpreter import Interpreter
{picture}
model = Interpreter("model.tflite").get_signature_runner()
print(model(image=np.asarray(picture)[None]))
"""


def write(bundle: Bundle, folder: Path, _: Wishes) -> Made:
    """Write model.tflite, for one picture at a time, and what lies beside.

    Raises MissingExtraError with the commands that make an environment, TargetError (an operator that LiteRT lacks).
    """
    if importlib.util.find_spec(CONVERTER) is None:
        raise MissingExtraError(
            f"LiteRT files are made by {CONVERTER}, which is not installed here and goes with other versions than ours",
            hint=f"make an environment for it: {_COMMANDS}",
        )
    content = _converted(bundle)
    (folder / TFLITE).write_bytes(content)
    code = python(bundle, _CODE)
    write_beside(bundle, folder, readme(bundle, TFLITE, code, "The file takes one picture at a time (n = 1)."))
    return _made(bundle, folder / TFLITE)


def _converted(bundle: Bundle) -> bytes:
    """The float file. onnx2tf writes into the ONNX file it is given, so it gets a copy."""
    import onnx2tf

    entry = open_session(bundle.onnx, provider="cpu").get_inputs()[0]
    sides = [1, *(side if isinstance(side, int) else bundle.card.input.size for side in list(entry.shape)[1:])]
    with tempfile.TemporaryDirectory() as scratch:
        given, out, said = Path(scratch) / ONNX, Path(scratch) / "out", io.StringIO()
        given.write_bytes(bundle.onnx)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                onnx2tf.convert(
                    input_onnx_file_path=str(given),
                    output_folder_path=str(out),
                    overwrite_input_shape=[f"{entry.name}:{','.join(map(str, sides))}"],
                    keep_shape_absolutely_input_names=[entry.name],
                    non_verbose=True,
                )
            return (out / "model_float32.tflite").read_bytes()
        except (Exception, SystemExit) as error:  # it ends the process where it cannot go on
            raise _refused(f"{error}\n{said.getvalue()}", bundle) from error


def _refused(said: str, bundle: Bundle) -> TargetError:
    operators = _UNKNOWN.findall(said)
    if operators:
        return lacks("LiteRT", operators, bundle.card.name)
    line = next((line.strip() for line in said.splitlines() if "rror" in line), said.strip()[:300])
    return TargetError(f"LiteRT cannot take this model: {line[:300]}", hint="choose --to onnx or --to ort")


def _made(bundle: Bundle, path: Path) -> Made:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return Made(TFLITE, why="LiteRT itself (ai-edge-litert) is not installed")
    try:
        runner = Interpreter(str(path), num_threads=1).get_signature_runner()
    except (RuntimeError, ValueError) as error:
        raise _refused(str(error), bundle) from error
    return Made(TFLITE, _engine(runner, bundle))


def _engine(runner: Any, bundle: Bundle) -> Engine:
    def run(values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        try:
            return {name: np.array(value) for name, value in runner(**values).items()}
        except (RuntimeError, ValueError) as error:
            raise _refused(str(error), bundle) from error

    return run
