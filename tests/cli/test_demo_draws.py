"""The demo that only draws: streets as a data set that everything else reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli import main
from sightline.cli.demo import SIGNS
from sightline.data.readers import read


def test_streets_without_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--objects", "--minutes", "0", "--count", "10", "--format", "voc", "--out", str(tmp_path), "--json"])
    assert stopped.value.code in (0, None)
    result = json.loads(capsys.readouterr().out)
    assert result["scores"] == {}
    dataset = read(Path(result["pictures"]))
    assert (dataset.kind, dataset.task, len(dataset.items)) == ("voc", "detection", 10)
    assert set(dataset.classes) <= set(SIGNS)


def test_a_format_is_for_streets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--format", "voc", "--out", str(tmp_path)])
    assert stopped.value.code not in (0, None)
    assert "--objects" in capsys.readouterr().err


@pytest.mark.deep
def test_without_weights_streets_are_only_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--objects", "--count", "10", "--out", str(tmp_path), "--json", "--no-page"])
    assert stopped.value.code in (0, None)
    told = capsys.readouterr()
    assert json.loads(told.out)["model"] == ""
    assert "SIGHTLINE_WEIGHTS" in told.err
