"""Five hundred malformed files, and arbitrary bytes: a picture or a typed refusal, soon, and nothing else."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import bombs, hostile_files, samples
from sightline.errors import PictureError, PictureFormatError, PictureTooLargeError
from sightline.runtime.guard import Guard
from sightline.runtime.pixels import decode, prepare
from sightline.types import InputSpec

SPEC = InputSpec(size=24, fit="pad")
WHOLE = [data for _, data in samples()]


def outcome(work: object, *arguments: object) -> object:
    """The shape of the picture, or the class of the refusal; anything else escapes and fails the test."""
    try:
        pixels = work(*arguments)
    except PictureError as error:
        return type(error)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels.shape


def test_the_maker_makes_what_it_says() -> None:
    files = hostile_files(500, seed=3)
    assert len(files) == 500
    assert len({name for name, _ in files}) == 500
    assert files == hostile_files(500, seed=3)
    assert hostile_files(20) == hostile_files(500)[:20]
    assert {name.rsplit(".", 1)[1] for name, _ in files} == {"jpg", "png", "tif", "bmp", "gif", "webp", "avif", "heic"}


@pytest.mark.parametrize("seed", [0, 1])
def test_no_malformed_file_escapes(seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    read = refused = 0
    for name, data in hostile_files(500, seed):
        start = time.process_time()
        whole = outcome(decode, data)
        square = outcome(prepare, data, SPEC)
        if isinstance(whole, tuple):
            assert square == (24, 24, 3), name
            read += 1
        else:
            # a reduced decode may stop earlier than a full one, but both see what is wrong with the file
            assert not isinstance(square, tuple), name
            refused += 1
        assert time.process_time() - start < 5, name  # far above what any takes: none may hang
    assert read > 20  # a flipped bit is often harmless
    assert refused > 300
    assert capfd.readouterr() == ("", "")


def test_no_malformed_file_hurts_the_guard() -> None:
    files = hostile_files(500)
    with Guard(deadline_s=30) as guard:
        (worker,) = guard._all
        for name, data in files:
            assert outcome(guard.prepare, data, SPEC) == outcome(prepare, data, SPEC), name
        assert guard._all == {worker}  # the same process to the end: no file has killed it
        assert worker.process.poll() is None


def test_bombs_are_refused_before_their_pixels_exist() -> None:
    def peak(pid: int) -> int:
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])

    with Guard() as guard:
        for data in WHOLE:  # every decoder is loaded
            guard.decode(data)
        (pid,) = (worker.process.pid for worker in guard._all)
        before = peak(pid)
        for name, data in bombs():
            kind = outcome(guard.decode, data)
            assert kind in (PictureTooLargeError, PictureError), name
            assert kind == outcome(guard.prepare, data, SPEC), name
        assert peak(pid) - before < 16_000  # kB


def test_what_is_named_as_a_bomb_is_called_too_large() -> None:
    kinds = {name: outcome(decode, data) for name, data in bombs()}
    assert {name for name, kind in kinds.items() if kind is not PictureTooLargeError} <= {"bomb.avif"}  # damaged, says libavif


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    assert outcome(decode, data) in (PictureFormatError, PictureError, PictureTooLargeError)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
    st.binary(max_size=20),
)
def test_mutations_of_whole_pictures(data: bytes, changes: list[tuple[float, int]], keep: float, tail: bytes) -> None:
    changed = bytearray(data)
    for place, value in changes:
        changed[int(place * len(data))] = value
    mutated = bytes(changed[: int(len(data) * (1 - keep**4))]) + tail
    outcome(decode, mutated)
    outcome(prepare, mutated, SPEC)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([data[:12] for data in WHOLE]), st.binary(max_size=200))
def test_arbitrary_bytes_after_a_true_beginning(head: bytes, tail: bytes) -> None:
    outcome(decode, head + tail)
