"""A model's own preprocessing: each step does what it says, steps are refused with the nearest, every road gives the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from bundles import tiny_bundle
from pictures import drawn, encoded, pixels
from sightline.errors import BundleError, UsageError
from sightline.runtime import adjust
from sightline.runtime.adjust import STEPS, adjusted, read_steps
from sightline.runtime.bundle import CARD, read_bundle
from sightline.runtime.fitting import GREY
from sightline.runtime.guard import Guard
from sightline.runtime.model import load
from sightline.runtime.pixels import decode, fit, prepare
from sightline.types import InputSpec

PICTURE = pixels(drawn(3, (60, 40)))
EVERY = tuple(STEPS)


def light(picture):
    return picture.reshape(-1, 3).astype(float) @ adjust.LUMA


def test_white_balance_takes_out_the_colour_of_the_light():
    neutral = np.repeat(np.random.default_rng(0).integers(0, 200, (40, 50, 1), np.uint8), 3, axis=2)
    yellow = (neutral * np.array([1.0, 0.9, 0.6])).round().astype(np.uint8)
    mended = adjusted(yellow, ("white-balance",)).astype(int)
    assert np.ptp(mended, axis=2).max() <= 2
    half = adjusted(yellow, ("white-balance:0.5",)).astype(int)
    assert np.ptp(mended, axis=2).mean() < np.ptp(half, axis=2).mean() < np.ptp(yellow.astype(int), axis=2).mean()
    red = np.full((9, 9, 3), (200, 0, 0), np.uint8)
    assert np.array_equal(adjusted(red, ("white-balance",)), red)  # what has one colour only has no light to be judged by


def test_equalise_spreads_the_light_and_keeps_the_hue():
    dull = (pixels(drawn(1, (60, 40))) // 4 + 90).astype(np.uint8)
    flat = adjusted(dull, ("equalise",))
    assert np.ptp(light(flat)) > 3 * np.ptp(light(dull))
    grey = np.repeat(dull[..., :1], 3, axis=2)
    assert np.ptp(adjusted(grey, ("equalise",)).astype(int), axis=2).max() <= 1


def test_denoise_takes_specks_and_keeps_edges():
    clean = np.zeros((30, 30, 3), np.uint8)
    clean[:, 15:] = 200
    noisy = clean.copy()
    noisy[5, 5] = noisy[20, 8] = 255
    assert np.array_equal(adjusted(noisy, ("denoise",)), clean)
    noisy[5:8, 5:8] = 255
    assert not np.array_equal(adjusted(noisy, ("denoise",))[:12], clean[:12])
    assert np.array_equal(adjusted(noisy, ("denoise:2",)), clean)


def test_sharpen_brightness_contrast_grey():
    edge = np.zeros((12, 12, 3), np.uint8) + 80
    edge[:, 6:] = 160
    assert np.ptp(adjusted(edge, ("sharpen:1",)).astype(int)) > np.ptp(edge.astype(int))
    assert np.array_equal(adjusted(edge, ("brightness:1.5",))[0, :, 0], [120] * 6 + [240] * 6)
    assert np.array_equal(adjusted(edge, ("contrast:0.5",))[0, :, 0], [100] * 6 + [140] * 6)
    assert (adjusted(edge, ("brightness:10",))[:, 6:] == 255).all()
    assert np.ptp(adjusted(PICTURE, ("grey",)), axis=2).max() == 0
    assert abs(light(adjusted(PICTURE, ("grey",))).mean() - light(PICTURE).mean()) < 1


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (40, 60)])
def test_every_step_on_every_shape(name, shape):
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    before = picture.copy()
    step = STEPS[name]
    for amount in (step.low, step.usual, step.high):
        changed = adjusted(picture, (f"{name}:{amount}",))
        assert changed.shape == picture.shape
        assert changed.dtype == np.uint8
    assert np.array_equal(picture, before), "the picture that came in stays as it is"


def test_steps_are_read_and_written_in_one_way():
    assert read_steps("White-Balance, sharpen:0.50,denoise:2,gray") == ("white-balance", "sharpen", "denoise:2", "grey")
    assert read_steps(("contrast:1.25", "brightness")) == ("contrast:1.25", "brightness")
    assert read_steps("") == ()
    assert read_steps(read_steps("equalize:0.333333333")) == ("equalise:0.333333",)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("white-balanse", "unknown step 'white-balanse'", "did you mean white-balance?"),
        ("qqq", "unknown step", "white-balance"),
        ("sharpen:9", "from 0 to 5, got '9'", "sharpen:0.5"),
        ("sharpen:much", "got 'much'", "sharpen:0.5"),
        ("sharpen:nan", "got 'nan'", "sharpen:0.5"),
        (",".join(["grey"] * 13), "at most 12", "leave some out"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        read_steps(text)
    assert hint in caught.value.hint


# --- as a part of the model


def test_steps_are_done_on_the_resized_picture_without_its_ground():
    for spec in (InputSpec(size=24), InputSpec(size=24, fit="squash")):
        plain = fit(PICTURE, spec)
        stepped = fit(PICTURE, spec.model_copy(update={"steps": ("equalise", "sharpen")}))
        assert np.array_equal(stepped, adjusted(plain, ("equalise", "sharpen")))
        assert not np.array_equal(stepped, plain)
    padded = fit(PICTURE, InputSpec(size=24, fit="pad", steps=("brightness:2",)))
    assert (padded[0] == GREY).all()  # 60 x 40: ground above and below
    assert np.array_equal(padded[4:20], adjusted(fit(PICTURE, InputSpec(size=24, fit="pad")), ("brightness:2",))[4:20])


def test_a_picture_without_steps_never_meets_them(monkeypatch):
    monkeypatch.setattr(adjust, "adjusted", lambda *_: pytest.fail("called"))
    fit(PICTURE, InputSpec(size=24))


def test_the_guard_does_the_same():
    data = encoded(drawn(5, (90, 70)))
    with Guard(deadline_s=30) as guard:
        for spec in (InputSpec(size=32, steps=EVERY), InputSpec(size=32, fit="pad", steps=("grey", "denoise:2"))):
            assert np.array_equal(guard.prepare(data, spec), prepare(data, spec))


def test_a_loaded_model_does_them_by_every_road(tmp_path):
    spec = InputSpec(size=32, crop=1.0, steps=("white-balance", "contrast:1.3"))
    bare, stepped = load(tiny_bundle(tmp_path / "bare")), load(tiny_bundle(tmp_path / "stepped", input=spec))
    picture = drawn(8, (80, 80))
    file = tmp_path / "picture.png"
    picture.save(file)
    data = file.read_bytes()
    answers = [stepped.predict(road).labels for road in (str(file), data, decode(data))]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0] != bare.predict(data).labels
    by_hand = np.asarray(Image.fromarray(adjusted(prepare(data, InputSpec(size=32, crop=1.0)), spec.steps)))
    assert np.array_equal(stepped.answer(prepare(data, spec)[None]).probabilities, stepped.answer(by_hand[None]).probabilities)


def test_steps_are_checked_when_a_card_is_read(tmp_path):
    bundle = tiny_bundle(tmp_path / "model", input=InputSpec(size=32, steps=("denoise",)))
    assert read_bundle(bundle).card.input.steps == ("denoise",)
    card = json.loads((bundle / CARD).read_text())
    card["input"]["steps"] = ["denoyse"]
    (bundle / CARD).write_text(json.dumps(card))
    with pytest.raises(BundleError, match="unknown step 'denoyse'"):
        read_bundle(bundle)
    del card["input"]["steps"]  # a card from before there were any
    (bundle / CARD).write_text(json.dumps(card))
    assert read_bundle(bundle).card.input.steps == ()
