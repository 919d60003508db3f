"""Floors hold; importing Sightline is light, changes nothing, and works without the extras."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

import sightline

_WALK = """
import importlib, pkgutil, sightline
found = pkgutil.walk_packages(sightline.__path__, "sightline.", onerror=lambda name: None)
names = sorted(module.name for module in found if not module.ispkg)
"""


def _python(code: str, **environ: str) -> str:
    """What `code` prints in a fresh interpreter in which every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _loaded(statement: str, *heavy: str) -> list[str]:
    return json.loads(_python(f"import json, sys; {statement}; print(json.dumps([n for n in {heavy!r} if n in sys.modules]))"))


def test_floors_hold():
    tool = Path(sys.executable).with_name("lint-imports")
    command = str(tool) if tool.exists() else shutil.which("lint-imports")
    if command is None:
        pytest.skip("import-linter is not installed")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_import_sightline_is_light():
    assert _loaded("import sightline", "numpy", "torch", "pydantic", "PIL", "onnxruntime", "sklearn", "rich", "cyclopts") == []


def test_help_is_light():
    statement = "from sightline.cli import help_text; help_text()"
    assert _loaded(statement, "numpy", "torch", "pydantic", "PIL", "onnxruntime", "sklearn", "cyclopts") == []


def test_runtime_is_light():
    heavy = ("torch", "sklearn", "scipy", "skimage", "fastapi", "nicegui", "timm", "onnx")
    assert _loaded("import sightline.runtime.model", *heavy) == []


def test_verbs_start_without_torch_and_servers():
    statement = "from sightline.verbs import VERBS, verb; [verb(name) for name in VERBS]"
    assert _loaded(statement, "torch", "timm", "sklearn", "scipy", "skimage", "fastapi", "nicegui", "uvicorn") == []


def test_base_install_can_import_all_but_training_and_serving():
    _python(f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"torch", "torchvision", "timm", "onnx", "onnxscript", "safetensors", "skimage",
                                  "fastapi", "starlette", "nicegui", "uvicorn", "prometheus_client"}}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Missing())
{_WALK}
for name in names:
    if not name.startswith(("sightline.learn.", "sightline.web.", "sightline.__main__")) or name == "sightline.web.serve":
        importlib.import_module(name)
""")


def test_importing_changes_nothing():
    changed = _python(f"""
import os, signal, sys, threading, warnings, logging
import numpy, PIL.Image, PIL.ImageFile, pydantic, onnxruntime
def state():
    return {{
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "warnings": list(warnings.filters),
        "threads": threading.active_count(),
        "log handlers": list(logging.getLogger().handlers),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "numpy": numpy.get_printoptions(),
        "pillow": (PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES),
    }}
before = state()
{_WALK}
for name in names:
    if not name.startswith(("sightline.learn.", "sightline.web.", "sightline.__main__")):
        importlib.import_module(name)
after = state()
print(*[key for key in before if before[key] != after[key]], end="")
""")
    assert changed == ""


def test_nothing_is_read_from_the_environment_at_import():
    _python(f"{_WALK}\nimport sightline.settings, sightline.runtime.model", SIGHTLINE_MAX_MEGAPIXELS="nonsense")


def test_public_names():
    names = sightline.__all__
    assert names[0] == "__version__"
    assert names[1:] == sorted(set(names[1:]))
    assert len(names) <= 30
    assert dir(sightline) == sorted(names)


@pytest.mark.parametrize("name", sightline.__all__)
def test_public_name_can_be_imported(name: str):
    assert getattr(sightline, name) is not None


def test_unknown_public_name():
    with pytest.raises(AttributeError, match="tarin"):
        sightline.tarin  # noqa: B018


def test_modules_do_not_share_a_name_with_what_they_are_imported_as():
    """`sightline.train` is the function; a module of that name beside it would hide it after an import."""
    modules = {path.stem for path in (ROOT / "src/sightline").iterdir()}
    assert modules.isdisjoint(sightline.__all__)
