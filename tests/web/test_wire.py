from __future__ import annotations

import json

import numpy as np
import pytest

from bundles import tiny_card
from sightline.runtime import tasks
from sightline.types import InputSpec
from sightline.web.service import region
from sightline.web.wire import Writer


@pytest.mark.parametrize("top", [None, 1, 2, 99])
@pytest.mark.parametrize("scores", [[0.1, 0.7, 0.2], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [1e-9, 0.4, 0.4]])
def test_the_quick_writer_says_what_the_record_says(scores: list[float], top: int | None):
    card = tiny_card()
    probabilities = np.array(scores, np.float32)
    text, flags = Writer(card).result('a"\n\u2028<.jpg', probabilities, 9.0, 1.23456, top)
    prediction = tasks.to_prediction(card, 'a"\n\u2028<.jpg', probabilities, novelty=9.0, took_ms=1.23456)
    assert json.loads(text) == tasks.to_wire(prediction, top)
    assert flags == prediction.flags


def test_the_region_a_model_sees():
    crop = region(200, 100, InputSpec(size=32, fit="crop", crop=0.5))
    assert (crop.x0, crop.y0, crop.x1, crop.y1) == (0.375, 0.25, 0.625, 0.75)
    pad = region(200, 100, InputSpec(size=32, fit="pad"))
    assert (pad.x0, pad.y0, pad.x1, pad.y1) == (0, -0.5, 1, 1.5)
    squash = region(200, 100, InputSpec(size=32, fit="squash"))
    assert (squash.x0, squash.y0, squash.x1, squash.y1) == (0, 0, 1, 1)
