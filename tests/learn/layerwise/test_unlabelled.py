"""Learning without labels in general: stopped and gone on is the same as never stopped; pictures from a second folder."""

from __future__ import annotations

import pytest
import torch

from pictures import class_folders
from sightline.errors import DatasetError, StoppedError
from sightline.learn.layerwise import unlabelled
from sightline.types import InputSpec


class Walk:
    """A stage that walks at random towards the rows' numbers."""

    name, rows, batch, epochs = "Walking", 12, 4, 5

    def __init__(self) -> None:
        self.place = torch.zeros(3)
        self.steps = 0

    def tensors(self):
        return {"place": self.place}

    def restore(self, tensors):
        self.place.copy_(tensors["place"])

    def step(self, rows, number, draws):
        self.place.add_(rows.float().mean() + torch.randn(3, generator=draws))
        self.steps += 1
        return 1.0 / (1 + number)


def test_killed_and_run_again_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(unlabelled, "SAVED", 0.0)
    whole = Walk()
    errors = unlabelled.learn(whole, tmp_path / "whole", 7)

    class Killed(Walk):
        def step(self, rows, number, draws):
            if number == 8:
                raise KeyboardInterrupt
            return super().step(rows, number, draws)

    with pytest.raises(KeyboardInterrupt):
        unlabelled.learn(Killed(), tmp_path / "parts", 7)
    rest = Walk()
    assert unlabelled.learn(rest, tmp_path / "parts", 7) == errors
    assert rest.steps == 9  # two epochs of three steps were kept
    assert torch.equal(rest.place, whole.place)
    assert len(errors) == 5


def test_interrupt_keeps_what_is_done(tmp_path, monkeypatch):
    import signal

    monkeypatch.setattr(unlabelled, "SAVED", 0.0)

    class Pressed(Walk):
        def step(self, rows, number, draws):
            if number == 5:
                signal.raise_signal(signal.SIGINT)
            return super().step(rows, number, draws)

    with pytest.raises(StoppedError, match="after 1 of 5 epochs"):
        unlabelled.learn(Pressed(), tmp_path, 0)
    rest = Walk()
    unlabelled.learn(rest, tmp_path, 0)
    assert rest.steps == 12


def test_pictures_of_a_second_folder_are_added(tmp_path):
    from sightline.data.found import read_as_found

    mine, more, none = class_folders(tmp_path / "mine", 2), class_folders(tmp_path / "more", 1, ("grey",)), tmp_path / "none"
    none.mkdir()
    items, spec = read_as_found(mine).items, InputSpec(size=32, fit="pad")
    assert unlabelled.pictures(items, None, spec).shape == (6, 32, 32, 3)
    assert unlabelled.pictures(items, str(more), spec).shape == (7, 32, 32, 3)
    with pytest.raises(DatasetError):
        unlabelled.pictures(items, str(none), spec)
