"""Jobs in real processes: every way they end, who may stop them, what is handed back, what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sightline.jobs import runner
from sightline.jobs.runner import Crew
from sightline.settings import settings
from sightline.store import jobs
from sightline.store.database import Database
from sightline.types import Job

QUICK = runner.Pace(lease=10, beat=0.05, news=0.05, look=0.05, cancel=5, hand_back=5, again=0.05)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def submit(db: Database, out: Path, **arguments: Any) -> Job:
    return jobs.submit(db, "dawdle", {"out": str(out), **arguments})


def work(db: Database, count: int = 1, pace: runner.Pace = QUICK) -> Crew:
    """Run what waits, until nothing does."""
    crew = Crew(db, count, pace)
    crew.start(once=True)
    assert crew.join(60)
    return crew


def until(true: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def processes(out: Path) -> list[int]:
    return [int(line) for line in (out / "processes").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_job_is_run_and_its_result_kept(db: Database, out: Path) -> None:
    job = submit(db, out, seconds=0.1)
    crew = work(db)
    ended = jobs.get(db, job.id)
    assert ended.state == "done", ended.error
    assert ended.result == {"made": 3, "found": 0, "ratio": None}, "NaN is no JSON"
    assert ended.progress is not None
    assert ended.progress["what"] == "Dawdling"
    assert ended.progress["note"] == "0 steps are there"
    assert crew.ended == {"done": 1}
    assert os.getpid() not in processes(out)


def test_a_word_means_no_file_of_the_folder_we_are_in(
    db: Database, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    job = submit(db, Path("word"))
    work(db)
    assert jobs.get(db, job.id).state == "done"
    assert not (tmp_path / "word").exists()
    assert len(list((settings().home / "jobs/word").glob("step-*"))) == 3


@pytest.mark.parametrize("ending", ["talk", "nothing"])
def test_what_a_verb_prints_or_leaves_out_does_no_harm(db: Database, out: Path, ending: str) -> None:
    job = submit(db, out, ending=ending)
    work(db)
    ended = jobs.get(db, job.id)
    assert ended.state == "done", ended.error
    assert (ended.result is None) == (ending == "nothing")


def test_typed_errors_come_back_and_faults_say_nothing_of_the_inside(db: Database, out: Path) -> None:
    typed, fault = submit(db, out / "a", ending="typed"), submit(db, out / "b", ending="fault")
    wrong, foreign = submit(db, out / "c", steps="many"), jobs.submit(db, "doctor", {})
    crew = work(db)
    assert crew.ended == {"failed": 4}
    errors = [jobs.get(db, job.id).error for job in (typed, fault, wrong, foreign)]
    assert [error.code for error in errors if error] == ["dataset_invalid", "internal", "usage", "usage"]
    assert errors[0]
    assert (errors[0].message, errors[0].hint) == ("these data are no data", "bring others")
    assert errors[1]
    assert "ValueError" in errors[1].message
    assert "secret" not in errors[1].message
    assert not any("Traceback" in error.message for error in errors if error)


def test_a_process_that_dies_is_tried_again_and_goes_on(db: Database, out: Path) -> None:
    job = submit(db, out, ending="die once")
    crew = Crew(db, 1, QUICK)
    crew.start()
    until(lambda: jobs.get(db, job.id).state == "done")
    crew.stop()
    assert crew.join(30)
    ended = jobs.get(db, job.id)
    assert ended.attempts == 2
    assert ended.result == {"made": 2, "found": 1, "ratio": None}
    assert len(set(processes(out))) == 2


def test_one_that_always_dies_fails_with_the_reason(db: Database, out: Path) -> None:
    job = submit(db, out, ending="die", steps=9)
    crew = Crew(db, 1, QUICK)
    crew.start()
    until(lambda: jobs.get(db, job.id).state == "failed")
    crew.stop()
    assert crew.join(30)
    ended = jobs.get(db, job.id)
    assert ended.attempts == jobs.MOST_DEATHS
    assert ended.error is not None
    assert "SIGKILL" in ended.error.message
    assert "memory" in ended.error.message


def test_a_child_that_cannot_even_start_is_a_death(db: Database, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CHILD", [sys.executable, "-c", "import sys; sys.exit(7)"])
    job = submit(db, out)
    crew = Crew(db, 1, QUICK)
    crew.start()
    until(lambda: jobs.get(db, job.id).state == "failed")
    crew.stop()
    assert crew.join(30)
    error = jobs.get(db, job.id).error
    assert error is not None
    assert "exit code 7" in error.message


def test_cancelling_keeps_what_is_done(db: Database, out: Path) -> None:
    job = submit(db, out, steps=1000, seconds=0.05)
    crew = Crew(db, 1, QUICK)
    crew.start()
    until((out / "step-1").exists)
    jobs.cancel(db, job.id)
    until(lambda: jobs.get(db, job.id).state == "cancelled")
    crew.stop()
    assert crew.join(30)
    ended = jobs.get(db, job.id)
    assert ended.error is not None
    assert ended.error.code == "interrupted"
    assert "they are kept" in ended.error.message
    assert not alive(processes(out)[0])


def test_one_that_does_not_hear_is_ended_by_force(db: Database, out: Path) -> None:
    job = submit(db, out, steps=1000, seconds=0.05, ending="deaf")
    crew = Crew(db, 1, replace(QUICK, cancel=0.3))
    crew.start()
    until((out / "step-1").exists)
    jobs.cancel(db, job.id)
    until(lambda: jobs.get(db, job.id).state == "cancelled")
    crew.stop()
    assert crew.join(30)
    assert not alive(processes(out)[0])


@pytest.mark.parametrize("ending", ["well", "deaf"])
def test_a_stopped_crew_hands_back_and_another_goes_on(db: Database, out: Path, ending: str) -> None:
    job = submit(db, out, steps=30, seconds=0.03, ending=ending)
    first = Crew(db, 1, replace(QUICK, hand_back=0.3))
    first.start()
    until((out / "step-1").exists)
    first.stop()
    assert first.join(30)
    assert first.ended == {"returned": 1}
    back = jobs.get(db, job.id)
    assert (back.state, back.worker) == ("queued", "")
    assert not alive(processes(out)[0])
    work(db)
    ended = jobs.get(db, job.id)
    assert ended.state == "done"
    assert ended.result is not None
    assert ended.result["found"] >= 2
    assert ended.attempts == 2


def test_a_job_taken_by_another_is_let_go(db: Database, out: Path) -> None:
    job = submit(db, out, steps=1000, seconds=0.05)
    crew = Crew(db, 1, replace(QUICK, look=60))
    crew.start()
    until((out / "step-1").exists)
    with db.write() as connection:
        connection.execute(jobs.jobs.update().values(worker="heir"))
    until(lambda: crew.ended["lost"])
    crew.stop()
    assert crew.join(30)
    assert not alive(processes(out)[0])
    found = jobs.get(db, job.id)
    assert (found.state, found.worker) == ("running", "heir")


def test_several_at_once(db: Database, tmp_path: Path) -> None:
    submitted = [submit(db, tmp_path / str(number), steps=2, seconds=0.05) for number in range(6)]
    crew = work(db, 3)
    assert crew.ended == {"done": 6}
    assert {jobs.get(db, job.id).attempts for job in submitted} == {1}


def test_a_new_job_need_not_wait_for_the_next_look(db: Database, out: Path) -> None:
    crew = Crew(db, 1, replace(QUICK, look=1000))
    crew.start()
    time.sleep(0.2)
    job = submit(db, out)
    crew.wake()
    until(lambda: jobs.get(db, job.id).state == "done")
    crew.stop()
    assert crew.join(30)


PARENT = """
import sys, threading
sys.path.insert(0, sys.argv[1])
import dawdle; dawdle.install()
from sightline.jobs.runner import Claimed, Pace, run
from sightline.store import jobs
from sightline.store.database import database
db = database()
run(Claimed(db, jobs.claim(db, "parent", 1), "parent", Pace()), threading.Event())
"""


def test_the_parents_death_ends_the_process_and_another_worker_goes_on(db: Database, out: Path) -> None:
    job = submit(db, out, steps=40, seconds=0.05, ending="deaf")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(Path(__file__).parent)])
    try:
        until((out / "step-1").exists)
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not alive(processes(out)[0]))
    assert jobs.get(db, job.id).state == "running", "nobody could tell"
    crew = Crew(db, 1, QUICK)
    crew.start()
    until(lambda: jobs.get(db, job.id).state == "done")
    crew.stop()
    assert crew.join(30)
    ended = jobs.get(db, job.id)
    assert ended.attempts == 2
    assert ended.result is not None
    assert ended.result["found"] >= 2


def test_sigint_from_elsewhere_counts_as_a_death(db: Database, out: Path) -> None:
    job = submit(db, out, steps=30, seconds=0.03)
    crew = Crew(db, 1, QUICK)
    crew.start()
    until((out / "step-1").exists)
    os.kill(processes(out)[0], signal.SIGINT)
    until(lambda: jobs.get(db, job.id).state == "done")
    crew.stop()
    assert crew.join(30)
    assert crew.ended == {"died": 1, "done": 1}
