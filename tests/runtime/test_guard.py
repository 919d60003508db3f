"""The guard: same answers as the decoder, typed errors, and no way for a worker's death to reach the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hostile import samples
from pictures import drawn, encoded
from sightline.errors import (
    PictureError,
    PictureFormatError,
    PictureTimeoutError,
    PictureTooLargeError,
    UnavailableError,
)
from sightline.runtime import guard as guard_module
from sightline.runtime import pipe
from sightline.runtime.guard import Guard
from sightline.runtime.limits import Limits
from sightline.runtime.pixels import decode, prepare
from sightline.types import InputSpec

SPEC = InputSpec(size=32)
PICTURE = encoded(drawn(4, (120, 90)))


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    with Guard(workers=2, deadline_s=30) as guard:
        yield guard


def pids(guard: Guard) -> set[int]:
    return {worker.process.pid for worker in guard._all}


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(true: object, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def test_same_answers_as_without(guard: Guard) -> None:
    for _, data in samples():
        assert np.array_equal(guard.decode(data), decode(data))
        for spec in (SPEC, InputSpec(size=20, fit="pad", interpolation="bicubic")):
            assert np.array_equal(guard.prepare(data, spec), prepare(data, spec))
    assert guard.decode(PICTURE, shorter=20).shape == (23, 30, 3)
    assert guard.decode(PICTURE).flags.writeable


def test_errors_arrive_as_they_are(guard: Guard) -> None:
    before = pids(guard)
    cases = (
        (b"", PictureError),
        (b"%PDF-1.7", PictureFormatError),
        (PICTURE[:900], PictureError),
        (bytes(9), PictureFormatError),
    )
    for data, kind in cases:
        with pytest.raises(PictureError) as theirs:
            guard.decode(data)
        with pytest.raises(PictureError) as ours:
            decode(data)
        assert type(theirs.value) is type(ours.value) is kind
        assert (theirs.value.message, theirs.value.hint) == (ours.value.message, ours.value.hint)
        assert theirs.value.detail == ours.value.detail
    assert pids(guard) == before


def test_limits_are_the_guards_own() -> None:
    with Guard(limits=Limits(max_megapixels=0.001, max_bytes=10_000)) as small:
        with pytest.raises(PictureTooLargeError, match="megapixels"):
            small.prepare(PICTURE, SPEC)
        with pytest.raises(PictureTooLargeError, match="bytes"):
            small.prepare(bytes(10_001), SPEC)


def test_many_threads_at_once(guard: Guard) -> None:
    pictures = [encoded(drawn(seed, (64 + seed, 48))) for seed in range(24)]
    expected = [prepare(data, SPEC) for data in pictures]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            answers = list(pool.map(lambda data: guard.prepare(data, SPEC), pictures))
            assert all(np.array_equal(one, two) for one, two in zip(answers, expected, strict=True))


def test_large_pictures_fit_through_the_pipe(guard: Guard) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), dtype=np.uint8))
    data = encoded(noise, "BMP")  # 5.8 MB in, 5.8 MB out
    assert np.array_equal(guard.decode(data), np.asarray(noise))


def test_a_worker_killed_while_idle_is_not_noticed(guard: Guard) -> None:
    before = pids(guard)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(alive(pid) for pid in before))
    for _ in range(3):
        assert guard.prepare(PICTURE, SPEC).shape == (32, 32, 3)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda _: guard.prepare(PICTURE, SPEC), range(8)))) == 8
    assert len(pids(guard)) == 2


def test_the_memory_cap_is_a_typed_refusal() -> None:
    large = encoded(Image.new("RGB", (6000, 6000)), "PNG", compress_level=1)  # 144 MB as Pillow holds it
    with Guard(memory_mb=220, deadline_s=30) as small:
        before = pids(small)
        with pytest.raises(PictureTooLargeError, match="memory"):
            small.decode(large)
        assert small.prepare(PICTURE, SPEC).shape == (32, 32, 3)
        assert pids(small) == before


FAKES = {  # what a captured or broken worker might do; each first says that it is ready
    "sleeps": "time.sleep(60)",
    "dies": "sys.exit(1)",
    "crashes": "os.kill(os.getpid(), 11)",
    "nonsense": "say(b'\\xff\\xff\\xff\\xff' * 50); time.sleep(60)",
    "no header": "say((5).to_bytes(4, 'big') + b'hello'); time.sleep(60)",
    "a list": "say((2).to_bytes(4, 'big') + b'[]'); time.sleep(60)",
    "huge": 'say(pack({"shape": [1], "bytes": 10**12})); time.sleep(60)',
    "wrong shape": 'say(pack({"shape": [7, 7, 3], "bytes": 3}) + b"abc"); time.sleep(60)',
    "no shape": 'say(pack({"bytes": 3}) + b"abc"); time.sleep(60)',
    "half": 'say(pack({"shape": [1, 1, 3], "bytes": 3}) + b"a"); sys.exit(0)',
}
FAKE = """
import json, os, sys, time
def pack(header):
    text = json.dumps(header).encode()
    return len(text).to_bytes(4, "big") + text
def say(data):
    os.write(1, data)
say(pack({"bytes": 0}))
length = int.from_bytes(os.read(0, 4), "big")
"""


@pytest.mark.parametrize("what", FAKES)
def test_a_worker_that_misbehaves_is_replaced(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    deadline = 0.2 if what == "sleeps" else 20.0
    monkeypatch.setattr(guard_module, "_WORKER", [sys.executable, "-c", FAKE + FAKES[what]])
    with Guard(deadline_s=deadline) as guard:
        first = pids(guard)
        monkeypatch.undo()
        with pytest.raises(PictureTimeoutError if what == "sleeps" else PictureError) as failure:
            guard.decode(PICTURE)
        assert failure.value.hint
        assert not any(alive(pid) for pid in first)
        guard.deadline_s = 30.0
        assert guard.prepare(PICTURE, SPEC).shape == (32, 32, 3)
        assert len(pids(guard)) == 1


def test_a_worker_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "_WORKER", [sys.executable, "-c", "raise SystemExit(3)"])
    with Guard() as guard:
        with pytest.raises(UnavailableError, match="does not start"):
            guard.decode(PICTURE)
        monkeypatch.setattr(guard_module, "_WORKER", ["/no/such/program"])
        for _ in range(2):
            with pytest.raises(UnavailableError, match="decod"):
                guard.decode(PICTURE)
        monkeypatch.undo()
        assert guard.decode(PICTURE).shape == (90, 120, 3)  # it recovers


def test_close_twice_and_afterwards() -> None:
    guard = Guard(workers=2)
    running = pids(guard)
    guard.close()
    guard.close()
    assert not any(alive(pid) for pid in running)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="closed"):
            guard.decode(PICTURE)


def test_close_frees_those_who_work_and_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "_WORKER", [sys.executable, "-c", FAKE + FAKES["sleeps"]])
    guard = Guard(deadline_s=60)
    outcomes: list[type[Exception]] = []

    def call() -> None:
        try:
            guard.decode(PICTURE)
        except Exception as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert wait_until(guard._free.empty)  # one works, three wait
    guard.close()
    for thread in threads:
        thread.join(20)
    assert outcomes == [UnavailableError] * 4
    assert not pids(guard)


def test_a_forgotten_guard_ends_its_workers() -> None:
    guard = Guard()
    (pid,) = pids(guard)
    del guard
    assert wait_until(lambda: not alive(pid))


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "sys.exit(0)"])
def test_workers_die_with_their_parent(end: str) -> None:
    program = (
        "import os, sys; from sightline.runtime.guard import Guard; g = Guard(2);"
        "print(*(w.process.pid for w in g._all), flush=True);"
        f"{end}"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stdout
    workers = [int(pid) for pid in output.split()]
    assert len(workers) == 2
    assert wait_until(lambda: not any(alive(pid) for pid in workers))


def test_the_worker_is_confined(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "hush")
    with Guard(memory_mb=512) as other:
        other.prepare(PICTURE, SPEC)
        (pid,) = pids(other)
        assert b"hush" not in Path(f"/proc/{pid}/environ").read_bytes()
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        said = {line[:25].strip(): line[25:].split()[0] for line in limits}
        assert said["Max address space"] == str(512 << 20)
        assert said["Max core file size"] == "0"
        assert said["Max file size"] == "0"
        assert 1 <= int(said["Max cpu time"]) <= 30
        os.kill(pid, signal.SIGINT)  # Ctrl-C in a terminal reaches the whole group; the parent decides what ends
        os.kill(pid, signal.SIGTERM)
        assert other.prepare(PICTURE, SPEC).shape == (32, 32, 3)
        assert pids(other) == {pid}


def test_pipe_refuses_nonsense() -> None:
    for sent in (b"", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"\0\0\0\x02no", pipe.pack({}, b"ab") + b"a"):
        out, into = os.pipe()
        os.write(into, sent)
        os.close(into)
        with pytest.raises(pipe.Gone):
            pipe.read(out)
        os.close(out)


def test_pipe_keeps_the_deadline() -> None:
    out, into = os.pipe()
    for handle in (out, into):
        os.set_blocking(handle, False)
    with pytest.raises(pipe.Late):
        pipe.read(out, time.monotonic() + 0.02)
    with pytest.raises(pipe.Late):
        pipe.write(into, [bytes(10_000_000)], time.monotonic() + 0.02)
    os.close(out)
    with pytest.raises(pipe.Gone):
        pipe.write(into, [b"x"], time.monotonic() + 5)
    os.close(into)
