"""doctor: what it finds, what it advises, that it stays light and quiet, and how it looks to people."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import sightline
from sightline.errors import UsageError
from sightline.runtime import raster
from sightline.runtime.bundle import CARD, set_latest
from sightline.settings import settings
from sightline.verbs import doctor as module
from sightline.verbs import installed
from sightline.verbs.doctor import Doctor, doctor, show

needs_deep = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs the extra deep")


def text(result: Doctor, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(show(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def put(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


def test_a_provider_that_is_not_there_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.runtime import engines

    monkeypatch.setattr(engines, "available", lambda: ("cpu",))
    assert doctor().provider == "cpu"
    put(monkeypatch, SIGHTLINE_PROVIDER="openvino")
    result = doctor()
    assert result.provider == ""
    assert any("sightline[openvino]" in line for line in result.advice)
    assert "SIGHTLINE_PROVIDER=openvino is not there" in text(result)


def test_tells_the_truth_about_this_machine() -> None:
    told = doctor()
    assert told.sightline == sightline.__version__
    assert told.python.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert told.cores == len(os.sched_getaffinity(0))
    assert told.memory_gb >= told.memory_free_gb >= 0
    assert "CPU" in told.providers
    assert told.offline
    assert told.home.path == os.environ["SIGHTLINE_HOME"]
    assert told.home.writable
    assert told.cache.path.startswith(told.home.path)
    assert not told.cache.exists
    assert told.latest_model is None


def test_base_packages_are_all_there_and_new_enough() -> None:
    packages = {package.name: package for package in doctor().packages}
    assert {"numpy", "pillow", "simplejpeg", "onnxruntime", "pydantic", "rich"} <= set(packages)
    assert not {"torch", "fastapi", "pytest"} & set(packages)  # those belong to extras
    assert all(package.fits for package in packages.values())


def test_every_format_of_the_product_has_a_line() -> None:
    assert set(doctor().decoders) == set(raster._PLUGINS)
    assert "simplejpeg" in doctor().decoders["jpeg"]


def test_missing_and_old_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = installed.version_of
    faked = {"torch": None, "pillow-heif": None, "numpy": "1.26.4", "rich": None}
    monkeypatch.setattr(installed, "version_of", lambda name: faked.get(name, real(name)))
    monkeypatch.setattr(module, "version_of", lambda name: faked.get(name, real(name)))
    told = doctor()
    deep = next(extra for extra in told.extras if extra.name == "deep")
    assert not deep.present
    assert "torch" in deep.missing
    assert deep.install == "pip install 'sightline[deep]'"
    assert {(entry.ways, entry.weights) for entry in told.training} == {(("probe",), "in the package")}
    advice = "\n".join(told.advice)
    assert "for training networks: pip install 'sightline[deep]'" in advice
    assert "numpy 1.26.4 is too old" in advice
    assert "rich is missing" in advice
    assert "heic pictures will be refused" in advice
    page = text(told)
    assert "sightline_mobile" in page
    assert "refused" in page


def test_extras_reach_into_each_other() -> None:
    extras = {"deep": ["torch", "sightline[features]"], "features": ["scikit-image"], "all": ["sightline[deep,studio]"]}
    assert list(installed.parts_of("deep", extras)) == ["torch", "scikit-image"]
    assert list(installed.parts_of("all", extras)) == ["torch", "scikit-image"]


def test_a_source_tree_that_nobody_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> list[str]:
        raise installed.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installed.metadata, "requires", unknown)
    told = doctor()
    assert told.packages == ()
    assert not any(extra.present for extra in told.extras)
    assert "not installed" in told.advice[0]
    assert text(told)


def test_requirements_are_read_from_all_spellings(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=2.0",
        "pillow (>=12.3,<14)",
        "rich",
        "torch>=2.7; extra == 'deep'",
        "sightline[features] ; extra == 'deep'",
        'uvicorn[standard]>=0.38; (python_version >= "3.11") and extra == "studio"',
    ]
    monkeypatch.setattr(installed.metadata, "requires", lambda _: lines)
    base, extras = installed.requirements()
    assert base == {"numpy": "2.0", "pillow": "12.3", "rich": ""}
    assert extras == {"deep": ["torch", "sightline[features]"], "studio": ["uvicorn[standard]"]}
    assert list(installed.parts_of("studio", extras)) == ["uvicorn"]


@pytest.mark.parametrize(("version", "needed", "fits"), [("2.10.1", "2.9", True), ("2.9", "2.10", False), ("3", "", True)])
def test_versions_compare_by_numbers(monkeypatch: pytest.MonkeyPatch, version: str, needed: str, fits: bool) -> None:
    monkeypatch.setattr(installed, "version_of", lambda _: version)
    assert installed.package("x", needed).fits is fits


@needs_deep
def test_weights_folder_decides_what_training_starts_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mobilenetv2_100.safetensors").write_bytes(b"12345")
    put(monkeypatch, SIGHTLINE_WEIGHTS=str(tmp_path))
    told = doctor()
    assert told.weight_files == ("mobilenetv2_100.safetensors",)
    assert told.weights is not None
    assert told.weights.files == 1
    by_size = {entry.size: entry for entry in told.training}
    assert by_size["small"].network == "mobilenetv2_100"
    assert by_size["small"].ways == ("probe", "fine-tune")
    assert "for want of" in by_size["medium"].weights
    put(monkeypatch, SIGHTLINE_OFFLINE="0")
    by_size = {entry.size: entry for entry in doctor().training}
    assert by_size["medium"].weights.startswith("asked from the hub")
    assert by_size["small"].weights == "mobilenetv2_100.safetensors"


@needs_deep
def test_without_weights_training_starts_from_our_own_and_the_advice_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    told = doctor()
    assert {entry.network for entry in told.training} == {"sightline_mobile"}
    assert any("no pretrained weights" in line for line in told.advice)


@needs_deep
def test_weights_fetched_earlier_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    (settings().cache / "hub/models--timm--mobilenetv2_100.ra_in1k/snapshots").mkdir(parents=True)
    by_size = {entry.size: entry for entry in doctor().training}
    assert "in the cache" in by_size["small"].weights


def test_empty_weights_folder_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, SIGHTLINE_WEIGHTS=str(tmp_path))
    assert any("holds no .safetensors" in line for line in doctor().advice)


def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, SIGHTLINE_HOME=str(tmp_path / "locked"))
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    told = doctor()
    assert not told.home.writable
    assert any(line.startswith("SIGHTLINE_HOME") for line in told.advice)
    assert "NOT WRITABLE" in text(told)
    assert not (tmp_path / "locked").exists()  # looking makes nothing


def test_home_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    put(monkeypatch, SIGHTLINE_HOME=str(tmp_path / "file"))
    told = doctor()
    assert not told.home.writable
    assert not told.home.exists


def test_huge_folders_are_not_counted_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        for index in range(6):
            (tmp_path / part / str(index)).write_bytes(b"x" * 1000)
    monkeypatch.setattr(module, "MOST_FILES", 5)
    put(monkeypatch, SIGHTLINE_CACHE=str(tmp_path))
    told = doctor()
    assert not told.cache.counted
    assert told.cache.files == 6
    assert "over 6 files" in text(told)


def test_latest_model_is_named(tmp_path: Path) -> None:
    (tmp_path / CARD).write_text("{}")
    set_latest(tmp_path)
    assert doctor().latest_model == str(tmp_path)


def test_gpu_without_a_runtime_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "gpu", lambda: "NVIDIA H100")
    assert any("onnxruntime-gpu" in line for line in doctor().advice)
    monkeypatch.setattr(installed, "providers", lambda: ("CUDA", "CPU"))
    assert not any("onnxruntime-gpu" in line for line in doctor().advice)


def test_wrong_settings_are_an_error_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, SIGHTLINE_WEIGHT="/x")
    with pytest.raises(UsageError, match="SIGHTLINE_WEIGHT"):
        doctor()


def test_page_for_people_names_everything_and_fits_a_narrow_terminal() -> None:
    told = doctor()
    page = text(told)
    for word in (told.sightline, "processor", "home", "numpy", "[studio]", "heic", "What train starts from"):
        assert word in page
    assert max(len(line) for line in text(told, width=60).splitlines()) <= 60
    good = told.model_copy(update={"advice": ()})
    assert "All is well." in text(good)


def test_record_goes_through_json() -> None:
    told = doctor()
    assert Doctor.model_validate_json(told.model_dump_json()) == told


def test_loads_no_heavy_package_and_asks_no_network() -> None:
    """In a process of its own, with sockets forbidden."""
    code = """
import socket, sys
def forbidden(*a, **k): raise AssertionError("doctor asked the network")
socket.socket = socket.create_connection = socket.getaddrinfo = forbidden
import sightline
sightline.doctor()
heavy = sorted({"torch", "timm", "sklearn", "fastapi", "nicegui", "skimage", "huggingface_hub"} & set(sys.modules))
assert not heavy, heavy
"""
    environment = {**os.environ, "SIGHTLINE_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
