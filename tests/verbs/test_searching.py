"""train --search: a whole search, killed on the way and gone on with; what does not go together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from pictures import class_folders
from sightline.errors import UsageError
from sightline.settings import settings
from sightline.verbs.train import train

pytestmark = pytest.mark.deep

WISHES = {"search": "evolution", "trials": 2, "minutes": 0.02, "max_parameters": "4k", "input_size": 32, "plan": "batch=16"}


@pytest.fixture
def brief(monkeypatch):
    """Trainings of a few steps."""
    from sightline.learn.search import ground

    monkeypatch.setattr(ground, "STEPS", 2)


@pytest.fixture
def folder(tmp_path):
    return class_folders(tmp_path / "colours", 16, ("red", "green"))


@pytest.mark.slow
def test_the_best_becomes_the_model_and_random_stands_beside(tmp_path, folder, brief):
    out = tmp_path / "model"
    result = train(folder, out=out, **WISHES)
    search = result.search
    assert [one.strategy for one in search.found] == ["random", "evolution"]
    assert {one.candidates for one in search.found} == {2}
    assert len({one.trainings for one in search.found}) == 1
    assert all(one.parameters <= 4000 for one in search.tried)
    assert result.backbone == search.best
    assert search.best in {one.cell for one in search.found}
    page = (out / "search.html").read_text()
    assert search.best in page
    assert "accuracy against thousand parameters" in page
    assert json.loads((out / "search.json").read_text())["best"] == search.best
    _rebuilt_from_its_card(out)


def _rebuilt_from_its_card(out):
    """The network's name in the passport builds it; its weights fit; the file is as large as the search said."""
    from safetensors.torch import load_file

    from sightline.learn.network import Classifier
    from sightline.learn.zoo.networks import from_scratch
    from sightline.runtime.bundle import read_bundle

    bundle = read_bundle(out)
    module, width = from_scratch(bundle.card.recipe.backbone, bundle.card.input.size)
    Classifier(module, width, len(bundle.card.classes)).load_state_dict(load_file(out / "weights.safetensors"))
    tried = json.loads((out / "search.json").read_text())["tried"]
    said = next(one["file_bytes"] for one in tried if one["cell"] == bundle.card.recipe.backbone)
    assert (out / "model.onnx").stat().st_size <= said  # the novelty part is smaller for few pictures


KILLED = """
import os, signal, sys
from sightline.learn.search import ground, journal
ground.STEPS = 2
append = journal.append
def dying(folder, one):
    append(folder, one)
    if len(journal.read(folder)) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
journal.append = dying
from sightline.verbs.train import train
train(sys.argv[1], out=sys.argv[3], **__import__("json").loads(sys.argv[4]))
"""


@pytest.mark.slow
def test_killed_on_the_way_it_goes_on(tmp_path, folder, brief):
    """SIGKILL after the third training: the next run keeps those three lines and does the rest."""
    out = tmp_path / "model"
    command = [sys.executable, "-c", KILLED, str(folder), "3", str(out), json.dumps(WISHES)]
    ended = subprocess.run(command, check=False, timeout=240, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-800:]
    (path,) = settings().home.glob("runs/*/search/journal.jsonl")
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(kept) == 3
    result = train(folder, out=out, **WISHES)
    assert [one.model_dump() for one in result.search.tried[:3]] == kept
    assert len(result.search.tried) > 3
    assert not list(settings().home.glob("runs/*"))


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"search": "tpe", "compare": "probe,fine-tune"}, "do not go together"),
        ({"search": "tpe", "folds": 5}, "do not go together"),
        ({"search": "tpe", "backbone": "resnet18"}, "--backbone names one"),
        ({"search": "tpe", "way": "probe"}, "from scratch"),
        ({"max_size": "1MB"}, "there is none"),
        ({"search": "tpe", "trials": 1}, "--trials"),
        ({"search": "tpe", "max_latency": "soon"}, "--max-latency"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(tmp_path, wishes, said):
    with pytest.raises(UsageError, match=said):
        train(tmp_path / "not there", **wishes)


def test_a_budget_nothing_fits_names_the_smallest(folder):
    with pytest.raises(UsageError, match="smallest possible") as refused:
        train(folder, search="random", max_parameters="100")
    assert "--max-parameters" in refused.value.hint
