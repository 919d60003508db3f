"""Clips: trained, exported, answered; the order of frames is what tells, and the frame average cannot see it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("av")
from clipdrawings import draw
from sightline.errors import UsageError
from sightline.learn.clips.recurrent import PLAN, embedded, numbers, train_recurrent
from sightline.runtime.model import load
from sightline.verbs.evaluate import evaluate
from sightline.verbs.predict import predict
from sightline.verbs.train import train

pytestmark = pytest.mark.deep


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_order_is_learnt_by_the_one_loop(tmp_path, cell):
    rng = np.random.default_rng(0)
    truth = np.arange(120) % 2
    rising = np.linspace(-1, 1, 8)[None, :, None] * np.where(truth, 1, -1)[:, None, None]
    vectors = (rising * np.ones(6) + rng.normal(0, 0.3, (120, 8, 6))).astype(np.float32)
    plan = replace(PLAN, epochs=12)
    network, trained = train_recurrent((vectors[:80], truth[:80]), (vectors[80:], truth[80:]), 2, cell, tmp_path, plan=plan)
    answers = embedded(network.backbone, vectors[80:]) @ network.head.weight.detach().numpy().T
    assert (answers + network.head.bias.detach().numpy()).argmax(1).tolist() == truth[80:].tolist()
    assert len(trained.history) <= 12


def test_rows_are_numbers_to_the_base_of_256():
    rows = numbers(255, 3).reshape(3, 3).astype(int)
    assert (rows @ [65536, 256, 1]).tolist() == [255, 256, 257]


def test_a_model_of_clips_from_folder_to_answer(tmp_path):
    data = draw(tmp_path / "clips", "way", 12)
    result = train(data, out=tmp_path / "model", frames=6)
    assert result.way == "clip"
    assert {"frame average", "gru over frames"} & set(result.baselines)
    model = load(tmp_path / "model")
    assert model.card.input.frames == 6
    assert model.card.parity.largest_difference < 1e-4
    side = model.card.input.size
    some = np.random.default_rng(0).integers(0, 255, (1, 9, side, side, 3), dtype=np.uint8)
    assert model.answer(some).probabilities.shape == (1, 2)  # any number of frames
    (answer,) = predict([Path(data) / "left" / "0000.mp4"], model=str(tmp_path / "model")).model_dump()["results"]
    assert answer["frames"] == 6
    assert evaluate(data, model=str(tmp_path / "model")).pictures == 24


def test_what_does_not_go_with_clips_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--cell belongs to"):
        train(tmp_path, way="probe", cell="gru")
    with pytest.raises(UsageError, match="--folds does not go"):
        train(tmp_path, way="clip", folds=3)
    with pytest.raises(UsageError, match="--frames must be"):
        train(tmp_path, way="clip", frames=0)
