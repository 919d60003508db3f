"""Measuring speed: in processes of their own, in turn; memory, energy and errors told as they are."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path

import pytest

from bundles import tiny_bundle, tiny_card, tiny_onnx
from finders import finder_bundle
from pictures import class_folders
from sightline.errors import BundleError, MissingExtraError, ModelNotFoundError, NotFoundError, UsageError
from sightline.runtime import energy, engines, speed, speedworker
from sightline.runtime.speed import Middle, Rival, Speed, compared, measured, middle, times_as_fast
from sightline.types import ErrorInfo

BRIEF = {"seconds": 0.02, "rounds": 2}


def test_a_bundle_is_measured(tmp_path: Path) -> None:
    found = measured(tiny_bundle(tmp_path / "m"), threads=2, **BRIEF)
    assert found.provider == "cpu"
    assert found.threads == 2
    assert 0 < found.latency_ms <= found.latency_p95_ms
    assert found.per_second > 0
    assert found.load_ms > 0
    assert len(found.latencies) == len(found.rates) == 2
    assert found.runs >= 2
    if Path("/proc/self/status").exists():
        assert found.peak_mb is not None
        assert found.model_mb is not None
        assert 0 <= found.model_mb < found.peak_mb


def test_an_onnx_file_alone_and_a_zip_and_a_detector(tmp_path: Path) -> None:
    import zipfile

    (tmp_path / "alone.onnx").write_bytes(tiny_onnx(tiny_card()))
    bundle = finder_bundle(tmp_path / "f")
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for file in bundle.iterdir():
            archive.write(file, file.name)
    found = compared([Rival(tmp_path / name, "cpu") for name in ("alone.onnx", "f.zip", "f")], threads=1, **BRIEF)
    assert [type(one) for one in found] == [Speed] * 3


def test_in_turn_with_ratios_and_what_cannot_be_opened(tmp_path: Path) -> None:
    path = tiny_bundle(tmp_path / "m")
    absent = next(name for name in ("coreml", "cuda") if name not in engines.available())
    rivals = [Rival(path, "cpu"), Rival(path, absent), Rival(tmp_path / "nowhere"), Rival(path, "cpu")]
    first, missing, nowhere, again = compared(rivals, threads=1, **BRIEF)
    assert isinstance(missing, ErrorInfo)
    assert missing.code == "extra_missing"
    assert isinstance(nowhere, ErrorInfo)
    assert nowhere.code == "model_not_found"
    assert isinstance(first, Speed)
    assert isinstance(again, Speed)
    ratio = times_as_fast(first, again)
    assert ratio.low <= ratio.value <= ratio.high
    assert times_as_fast(first, first, together=True) == Middle(value=1, low=1, high=1)


def test_whole_runs_include_decoding(tmp_path: Path) -> None:
    pictures = sorted(class_folders(tmp_path / "p", per_class=1).rglob("*.jpg"))
    (found,) = compared([Rival(tiny_bundle(tmp_path / "m"))], threads=2, pictures=pictures, **BRIEF)
    assert isinstance(found, Speed)
    assert found.whole_ms is not None
    assert found.whole_ms > found.latency_ms
    assert found.whole_per_second


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra 'openvino'")
def test_the_library_is_no_part_of_the_model(tmp_path: Path) -> None:
    found = measured(tiny_bundle(tmp_path / "m"), provider="openvino", threads=1, **BRIEF)
    assert found.provider == "openvino"
    assert found.peak_mb is None or (found.model_mb or 0) < found.peak_mb - 50


def test_errors_come_back_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="cannot be loaded"):
        measured(tmp_path / "bad.onnx", **BRIEF)
    with pytest.raises(NotFoundError, match=r"none\.onnx"):
        measured(tmp_path / "none.onnx", **BRIEF)
    with pytest.raises(ModelNotFoundError):
        measured("no-such-model", **BRIEF)
    with pytest.raises(UsageError, match="above 0"):
        measured(tmp_path, seconds=0)
    if "coreml" not in engines.available():
        with pytest.raises(MissingExtraError):
            measured(tiny_bundle(tmp_path / "m"), provider="coreml", **BRIEF)


def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    dying = [sys.executable, "-c", "import sys; sys.stderr.write('out of memory'); sys.exit(3)"]
    monkeypatch.setattr(speed, "_WORKER", dying)
    with pytest.raises(BundleError, match=r"ended with 3.*out of memory"):
        measured(tmp_path, **BRIEF)


def test_quartiles() -> None:
    assert middle([4.0, 1.0, 3.0, 2.0]) == Middle(value=2.5, low=1.75, high=3.25)
    assert middle([7.0]) == Middle(value=7, low=7, high=7)


def test_the_conversation(tmp_path: Path) -> None:
    request = {"model": str(tiny_bundle(tmp_path / "m")), "provider": "cpu", "threads": 2}
    asked = [{"what": "latency", "seconds": 0}, {"what": "throughput", "seconds": 0}, {"what": "memory"}]
    answers = io.StringIO()
    speedworker.converse(request, io.StringIO("".join(json.dumps(one) + "\n" for one in asked)), answers)
    opened, latency, throughput, memory = map(json.loads, answers.getvalue().splitlines())
    assert set(opened) == {"load_ms", "provider", "threads"}
    assert len(latency["times"]) == 1
    assert throughput["count"] == 2
    assert set(memory) == {"peak", "model"}


def counters(folder: Path, *values: int, board: int | None = None) -> Path:
    """Processors' counters, and that of the whole board where there is one."""
    for place, value in enumerate((*values, *([] if board is None else [board]))):
        for name in (f"intel-rapl:{place}", f"intel-rapl:{place}:0"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "name").write_text(f"package-{place}\n" if place < len(values) else "psys\n")
            (folder / name / "energy_uj").write_text(f"{value}\n")
            (folder / name / "max_energy_range_uj").write_text("999999\n")
    return folder


def test_energy_of_all_processors_over_the_end_of_a_counter(tmp_path: Path) -> None:
    before = energy.read(counters(tmp_path, 100, 900_000, board=0))
    after = energy.read(counters(tmp_path, 500_100, 400_000, board=990_000))
    assert energy.joules(before, after) == pytest.approx(1.0)


def test_no_energy_where_none_is_told(tmp_path: Path) -> None:
    assert energy.read(tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert energy.read(tmp_path) is None
    assert energy.joules(None, energy.read(counters(tmp_path, 1))) is None


def test_one_that_dies_on_the_way_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [tiny_bundle(tmp_path / name) for name in ("dies", "lives")]
    run, dying = speed._Entrant.run, []

    def killed(self: speed._Entrant, seconds: float) -> None:
        dying.append(self)
        if len(dying) == 4:  # rounds go dies, lives, lives, dies
            self._process.kill()
        run(self, seconds)

    monkeypatch.setattr(speed._Entrant, "run", killed)
    dead, alive = speed.compared([speed.Rival(model, "cpu") for model in models], threads=1, seconds=0.05, rounds=3)
    assert isinstance(dead, ErrorInfo)
    assert "its process ended" in dead.message
    assert isinstance(alive, speed.Speed)
    assert len(alive.rates) == 3
