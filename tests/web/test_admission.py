from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sightline.errors import OverloadError, UnavailableError
from sightline.web.admission import SHORT_FOR_S, Admission


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_place_is_free_again_after_the_block_and_after_an_error():
    admission = Admission(1, 1)
    with admission.enter():
        assert admission.inside == 1
    with pytest.raises(KeyError), admission.enter():
        raise KeyError
    assert admission.inside == 0


def test_refusal_when_full_names_the_seconds_to_wait():
    admission = Admission(2, 1)
    with admission.enter(), admission.enter(), pytest.raises(OverloadError) as caught:
        admission.check()
    assert caught.value.detail["retry_after_s"] >= 1
    assert admission.refused == 1


def test_while_people_are_turned_away_the_queue_is_kept_short_and_grows_again_later():
    clock = Clock()
    admission = Admission(4, 2, clock)
    places = [admission.enter() for _ in range(4)]
    for place in places:
        place.__enter__()
    with pytest.raises(OverloadError):
        admission.check()
    for place in places[:2]:
        place.__exit__(None, None, None)
    assert admission.inside == 2
    with pytest.raises(OverloadError):  # two of four places are free, yet the short limit holds
        admission.check()
    clock.now += SHORT_FOR_S
    admission.check()


def test_a_burst_up_to_the_long_limit_is_not_refused():
    admission = Admission(8, 2)
    places = [admission.enter() for _ in range(8)]
    for place in places:
        place.__enter__()
    assert admission.inside == 8
    assert admission.refused == 0


def test_stopping_refuses_everybody():
    admission = Admission(2, 2)
    admission.stopping = True
    with pytest.raises(UnavailableError):
        admission.check()


def test_at_five_times_the_capacity_those_admitted_wait_less_than_three_times_as_long_as_when_idle():
    """Two workers of 6 ms each, simulated: no real clock. Idle, an answer takes 6 ms."""
    clock, service = Clock(), 0.006
    admission = Admission(18, 4, clock)
    free = [0.0, 0.0]  # when each worker is free
    leaving: list[tuple[float, object]] = []
    latencies = []
    arrivals = int(5 * 5 * 2 / service)  # five seconds
    for number in range(arrivals):
        clock.now = number * service / 2 / 5
        while leaving and leaving[0][0] <= clock.now:
            leaving.pop(0)[1].__exit__(None, None, None)
        place = admission.enter()
        try:
            place.__enter__()
        except OverloadError:
            continue
        worker = free.index(min(free))
        free[worker] = max(free[worker], clock.now) + service
        leaving.append((free[worker], place))
        latencies.append(free[worker] - clock.now)
    latencies.sort()
    assert latencies[int(0.99 * len(latencies))] < 3 * service
    assert len(latencies) > 0.95 * arrivals / 5  # and the workers were never left without work


def test_the_newest_who_wait_are_sent_away_when_one_is_refused():
    clock = Clock()
    admission = Admission(limit=6, short=2, clock=clock)
    began, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    def work(number: int) -> int:
        began.set()
        go_on.wait(10)
        return number

    async def one(pool: ThreadPoolExecutor, number: int) -> None:
        try:
            with admission.enter():
                told.append(f"{await admission.outcome(pool.submit(work, number))} answered")
        except OverloadError:
            told.append(f"{number} refused")

    async def crowd(pool: ThreadPoolExecutor) -> None:
        old = [asyncio.ensure_future(one(pool, number)) for number in range(2)]
        await asyncio.sleep(0)
        began.wait(10)
        clock.now += 1
        young = [asyncio.ensure_future(one(pool, number)) for number in range(2, 6)]
        await asyncio.sleep(0)
        await one(pool, 6)
        go_on.set()
        await asyncio.gather(*old, *young)

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(crowd(pool))
    assert sorted(told) == ["0 answered", "1 answered", *(f"{number} refused" for number in range(2, 7))]
    assert admission.refused == 5
    assert admission.inside == 0
