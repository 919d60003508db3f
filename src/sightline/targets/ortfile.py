"""Target `ort`: ONNX Runtime's mobile format, loaded without protobuf by its small builds for phones.

Source: ONNX Runtime's documentation of the ORT format; `required_operators.config` is what a reduced build is made from.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from sightline.errors import TargetError
from sightline.runtime.bundle import Bundle
from sightline.targets.onnxfile import engine, write_beside
from sightline.targets.readme import onnx_runtime, readme
from sightline.targets.target import Made, Wishes

ORT, CONFIG = "model.ort", "required_operators.config"
_MORE = """
Small builds of ONNX Runtime load it as it is: `OrtSession` on Android, `ORTSession` on iOS, `Ort::Session` in C++.
`required_operators.config` names the operators it needs, for a build that holds no others (`--include_ops_by_config`)."""


def write(bundle: Bundle, folder: Path, _: Wishes) -> Made:
    """Write model.ort, required_operators.config and what lies beside; TargetError when ONNX Runtime refuses."""
    content = ort_bytes(bundle.onnx)
    (folder / ORT).write_bytes(content)
    notes: tuple[str, ...] = ()
    config = required_operators(content)
    if config is None:
        notes = (f"{CONFIG} was not written: it needs the package flatbuffers",)
    else:
        (folder / CONFIG).write_text(config, encoding="utf-8")
    write_beside(bundle, folder, readme(bundle, ORT, onnx_runtime(bundle, ORT), _MORE))
    return Made(ORT, engine((folder / ORT).read_bytes()), notes=notes)


def ort_bytes(onnx: bytes) -> bytes:
    """An ONNX file in the mobile format, optimised for any processor: nothing that only this machine can run."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / ORT
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.optimized_model_filepath = str(file)
        options.add_session_config_entry("session.save_model_format", "ORT")
        # blocked layouts (NCHWc) fit the processor they were made on; the mobile format is for another one
        try:
            ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"])
            return file.read_bytes()
        except Exception as error:  # onnxruntime raises a dozen types, some of them only RuntimeError
            raise TargetError(
                f"ONNX Runtime cannot write this model in its mobile format: {str(error)[:300]}", hint="choose --to onnx"
            ) from error


def required_operators(content: bytes) -> str | None:
    """The operators of a model in the mobile format, as ONNX Runtime's build reads them; None without flatbuffers."""
    try:
        with tempfile.TemporaryDirectory() as scratch, _contained():
            from onnxruntime.tools.ort_format_model import create_config_from_models

            logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
            model, config = Path(scratch) / ORT, Path(scratch) / CONFIG
            model.write_bytes(content)
            create_config_from_models([model], config, False)
            text = config.read_text(encoding="utf-8")
    except ImportError:
        return None
    return "\n".join(line for line in text.splitlines() if not line.startswith("# -")) + "\n"


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """ONNX Runtime's tools change the process: a path, logging; leave files open; and import torch where it is installed."""
    path, root = list(sys.path), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment] # Python's way to say: not to be found
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    finally:
        sys.path[:] = path
        root.handlers[:] = handlers
        root.setLevel(level)
        if hidden:
            del sys.modules["torch"]
