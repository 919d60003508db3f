from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sightline import progress  # noqa: E402
from sightline.learn import checkpoint as stored  # noqa: E402
from sightline.learn.checkpoint import NEWEST, PREVIOUS, Checkpoint  # noqa: E402

pytestmark = pytest.mark.deep


def numbered(step):
    tensors = {"model.w": torch.full((4, 3, 2, 2), float(step)), "count": torch.tensor(step)}
    return Checkpoint(tensors, {"step": step, "loss": 0.1 + 0.2, "none": None, "list": [1, math.pi]})


def test_round_trip_is_exact(tmp_path):
    odd = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    given = Checkpoint({"a": odd, "b": torch.arange(3), "c": torch.tensor(1.5).bfloat16()}, numbered(1).facts)
    stored.save(tmp_path, given)
    found = stored.load(tmp_path)
    assert found is not None
    assert found.facts == given.facts
    assert stored.digest(found.tensors) == stored.digest(given.tensors)
    assert torch.equal(found.tensors["a"], odd)


def test_nothing_there(tmp_path):
    assert stored.load(tmp_path) is None


@pytest.mark.parametrize("damage", ["truncated", "empty", "bit", "missing"])
def test_a_damaged_newest_gives_the_one_before_and_says_so(tmp_path, damage):
    stored.save(tmp_path, numbered(1))
    stored.save(tmp_path, numbered(2))
    newest = tmp_path / NEWEST
    data = bytearray(newest.read_bytes())
    if damage == "truncated":
        newest.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        newest.write_bytes(b"")
    elif damage == "bit":
        data[-3] ^= 4
        newest.write_bytes(data)
    else:  # killed between the two renames
        newest.unlink()
    said = []
    with progress.listen(lambda event: said.append(event.note)):
        found = stored.load(tmp_path)
    assert found is not None
    assert found.facts["step"] == 1
    assert bool(said) == (damage != "missing")
    stored.save(tmp_path, numbered(3))  # goes on
    assert stored.load(tmp_path).facts["step"] == 3


def test_both_damaged_means_from_the_start(tmp_path):
    for name in (NEWEST, PREVIOUS):
        (tmp_path / name).write_bytes(b"not a checkpoint")
    assert stored.load(tmp_path) is None


def test_left_overs_of_a_killed_process_are_removed(tmp_path):
    stored.save(tmp_path, numbered(1))
    part = tmp_path / f".{NEWEST}.abc123.part"
    part.write_bytes(b"half")
    assert stored.load(tmp_path).facts["step"] == 1
    assert not part.exists()


@pytest.mark.parametrize("kind", [torch.optim.AdamW, lambda groups: torch.optim.SGD(groups, 0.1, momentum=0.9, nesterov=True)])
def test_an_optimiser_goes_on_as_if_nothing_had_happened(tmp_path, kind):
    def network():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2))
        return model.to(memory_format=torch.channels_last)

    def steps(model, optimiser, numbers):
        for number in numbers:
            x = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(number))
            model(x).square().mean().backward()
            optimiser.step()
            optimiser.zero_grad()

    whole = network()
    start = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    optimiser = kind(whole.parameters())
    steps(whole, optimiser, range(3))
    stored.save(tmp_path, Checkpoint({**stored.module_tensors("m", whole), **stored.optimiser_tensors(optimiser)}, {}))
    steps(whole, optimiser, range(3, 6))

    again = network()
    again.load_state_dict(start)
    second = kind(again.parameters())
    found = stored.load(tmp_path)
    stored.restore_module("m", again, found.tensors)
    stored.restore_optimiser(second, found.tensors)
    steps(again, second, range(3, 6))
    assert stored.digest(again.state_dict()) == stored.digest(whole.state_dict())
