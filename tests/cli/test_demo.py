"""The demo as a newcomer runs it, small: it draws, trains, tests on signs kept apart and says how good it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli import main
from sightline.types import Score

pytestmark = [pytest.mark.deep, pytest.mark.slow]


def test_the_demo_learns_road_signs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--out", str(tmp_path / "demo"), "--count", "1200", "--minutes", "4", "--no-page", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert stopped.value.code in (0, None)
    top1 = Score.model_validate(result["scores"]["top1"])
    assert top1.n == 240
    assert top1.value > 0.8, "half of the demo's pictures; the full demo reaches 97 % and more (docs/log.md)"
    assert Path(result["report"]).is_file()
    assert (Path(result["model"]) / "card.json").is_file()
