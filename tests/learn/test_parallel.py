from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from sightline.errors import UsageError  # noqa: E402
from sightline.learn import parallel  # noqa: E402
from sightline.learn.parallel import ALONE, Crew  # noqa: E402
from sightline.settings import Launch, launch  # noqa: E402

pytestmark = pytest.mark.deep
HERE = Path(__file__).parent


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine, with threads enough for one each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, arguments)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_alone_nothing_is_said():
    assert parallel.crew() == ALONE == parallel.join(Launch())
    assert ALONE.total(1.0, 2.0) == (1.0, 2.0)
    assert ALONE.told(lambda: {"a": float("inf")}) == {"a": float("inf")}
    assert ALONE.share(5).tolist() == [0, 1, 2, 3, 4]
    asked = []
    assert ALONE.anyone(lambda: bool(asked.append(1)))() is False


def test_shares_are_all_rows_once():
    shares = [Crew(rank, 3).share(8).tolist() for rank in range(3)]
    assert [row for share in shares for row in share] == list(range(8))
    assert {len(share) for share in shares} == {2, 3}


def test_what_torchrun_says(monkeypatch):
    assert launch() == Launch()
    monkeypatch.setenv("RANK", "3")
    assert launch() == Launch(), "such a variable alone means nothing"
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert launch() == Launch(3, 8, 1, 2)
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(UsageError, match="WORLD_SIZE"):
        launch()


def test_ways_that_nobody_can_share(monkeypatch, tmp_path):
    from sightline.verbs.train import train

    numbers = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, value in numbers.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="--way probe cannot be shared"):
        train(tmp_path, way="probe")
    with pytest.raises(UsageError, match="--folds makes several models"):
        train(tmp_path, way="scratch", folds=3)


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one(tmp_path):
    """Batches of 9 in shares of 5 and 4, mixed pictures, other first weights in the second: the same but for rounding."""
    from safetensors.torch import load_file
    from together import PLAN, data, network

    from sightline.learn.loop import train_network

    model = network()
    train_network(model, data(), PLAN, tmp_path / "one")
    done = torchrun(HERE / "together.py", tmp_path)
    assert done.returncode == 0, done.stderr
    two = load_file(tmp_path / "weights.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.allclose(tensor, two[name], atol=1e-5), name
    first = network().state_dict()["head.weight"]
    assert not torch.allclose(first, two["head.weight"], atol=1e-3), "it has learnt"


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others(tmp_path):
    done = torchrun(HERE / "together.py", tmp_path, "dies")
    assert done.returncode != 0
    assert not (tmp_path / "weights.safetensors").exists()
