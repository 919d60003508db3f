"""The contract of the table of jobs, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.errors import ConflictError, NotFoundError, OverloadError
from sightline.store import jobs
from sightline.store.database import Database, database, forget
from sightline.types import ErrorInfo

ARGUMENTS = {"data": "photos", "seed": 3, "names": ["ä", "b"]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL of our own."""
    pgserver = pytest.importorskip("pgserver")
    pytest.importorskip("psycopg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        try:
            server = pgserver.get_server(tmp_path_factory.mktemp("pg"))
        except Exception as error:  # no shared memory, no permission, ...
            pytest.skip(f"PostgreSQL does not start here: {error}")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    return str(request.getfixturevalue("cluster"))


@pytest.fixture
def db(address: str) -> Iterator[Database]:
    opened = database(address)
    jobs.prune(opened, days=-1)
    yield opened
    with opened.write() as connection:
        connection.execute(jobs.jobs.delete())
    forget()


def test_a_job_is_taken_in_claimed_and_finished(db: Database) -> None:
    job = jobs.submit(db, "train", ARGUMENTS)
    assert (job.state, job.verb, job.arguments, job.attempts) == ("queued", "train", ARGUMENTS, 0)
    mine = jobs.claim(db, "ana", 60)
    assert mine is not None
    assert (mine.id, mine.state, mine.worker, mine.attempts) == (job.id, "running", "ana", 1)
    assert jobs.claim(db, "ben", 60) is None
    assert jobs.beat(db, job.id, "ana", 60, {"what": "Training", "done": 3}) == "go"
    assert jobs.get(db, job.id).progress == {"what": "Training", "done": 3}
    assert jobs.beat(db, job.id, "ana", 60) == "go"
    assert jobs.get(db, job.id).progress == {"what": "Training", "done": 3}, "a beat without news changes nothing"
    assert jobs.finish(db, job.id, "ana", {"model": "here"})
    ended = jobs.get(db, job.id)
    assert (ended.state, ended.result, ended.error) == ("done", {"model": "here"}, None)
    assert ended.created <= ended.started <= ended.ended
    assert jobs.peek(db, job.id) == ended.model_copy(update={"result": None})
    assert jobs.claim(db, "ben", 60) is None


def test_first_come_first_served(db: Database) -> None:
    submitted = [jobs.submit(db, "train", {"n": number}).id for number in range(5)]
    assert [job.id for job in jobs.list_jobs(db)] == submitted[::-1]
    assert [job.id for job in jobs.list_jobs(db, limit=2)] == submitted[:2:-1]
    claimed = [jobs.claim(db, "ana", 60) for _ in range(5)]
    assert [job.id for job in claimed if job] == submitted
    assert len(jobs.list_jobs(db, "running")) == 5
    assert jobs.list_jobs(db, "queued") == []


def test_the_same_key_is_the_same_job_and_another_request_is_refused(db: Database) -> None:
    first = jobs.submit(db, "train", ARGUMENTS, "key-1")
    assert jobs.submit(db, "train", ARGUMENTS, "key-1") == first
    jobs.claim(db, "ana", 60)
    jobs.finish(db, first.id, "ana", {"model": "here"})
    again = jobs.submit(db, "train", ARGUMENTS, "key-1")
    assert (again.id, again.state, again.result) == (first.id, "done", {"model": "here"})
    for verb, arguments in (("train", {"data": "other"}), ("evaluate", ARGUMENTS)):
        with pytest.raises(ConflictError):
            jobs.submit(db, verb, arguments, "key-1")
    assert jobs.submit(db, "train", ARGUMENTS, "key-2").id != first.id
    assert jobs.submit(db, "train", ARGUMENTS).id != jobs.submit(db, "train", ARGUMENTS).id


def test_one_key_sent_by_many_at_once_is_one_job(db: Database) -> None:
    found: list[str] = []

    def send() -> None:
        found.append(jobs.submit(Database(db.engine), "train", ARGUMENTS, "key").id)

    _at_once(send, 8)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_dead_workers_job_is_taken_over_and_its_word_counts_no_more(db: Database) -> None:
    job = jobs.submit(db, "train", ARGUMENTS)
    jobs.claim(db, "dead", -1)
    taken = jobs.claim(db, "heir", 60)
    assert taken is not None
    assert (taken.id, taken.worker, taken.attempts) == (job.id, "heir", 2)
    assert jobs.beat(db, job.id, "dead", 60, {"done": 9}) == "lost"
    assert not jobs.finish(db, job.id, "dead", {})
    assert not jobs.fail(db, job.id, "dead", ErrorInfo(code="internal", message="no"))
    assert not jobs.hand_back(db, job.id, "dead")
    assert not jobs.died(db, job.id, "dead", "no")
    assert jobs.get(db, job.id).state == "running"
    assert jobs.finish(db, job.id, "heir", None)


def test_a_late_worker_keeps_its_job_while_nobody_has_taken_it(db: Database) -> None:
    job = jobs.submit(db, "train", ARGUMENTS)
    jobs.claim(db, "slow", -1)
    assert jobs.beat(db, job.id, "slow", 60) == "go"
    assert jobs.claim(db, "heir", 60) is None


def test_a_job_whose_workers_keep_dying_fails_with_a_reason(db: Database) -> None:
    job = jobs.submit(db, "train", ARGUMENTS)
    for number in range(jobs.MOST_DEATHS):
        claimed = jobs.claim(db, f"w{number}", -1)
        assert claimed is not None
        assert claimed.attempts == number + 1
    assert jobs.claim(db, "last", 60) is None
    ended = jobs.get(db, job.id)
    assert ended.state == "failed"
    assert ended.error is not None
    assert "died 3 times" in ended.error.message
    assert ended.ended


def test_a_process_that_dies_is_tried_again_after_a_pause(db: Database) -> None:
    job = jobs.submit(db, "train", ARGUMENTS)
    for number in range(jobs.MOST_DEATHS):
        assert jobs.claim(db, "ana", 60) is not None
        assert jobs.died(db, job.id, "ana", "it was ended by SIGKILL", wait_s=0)
        assert jobs.get(db, job.id).state == ("failed" if number == jobs.MOST_DEATHS - 1 else "queued")
    error = jobs.get(db, job.id).error
    assert error is not None
    assert "SIGKILL" in error.message
    other = jobs.submit(db, "train", ARGUMENTS)
    jobs.claim(db, "ana", 60)
    jobs.died(db, other.id, "ana", "it died", wait_s=60)
    assert jobs.claim(db, "ana", 60) is None, "not before its pause is over"
    jobs.submit(db, "train", ARGUMENTS)
    assert jobs.claim(db, "ana", 60) is not None, "others need not wait for it"


def test_a_job_handed_back_goes_on_at_once_and_counts_no_death(db: Database) -> None:
    job = jobs.submit(db, "train", ARGUMENTS)
    for attempt in range(1, 6):
        claimed = jobs.claim(db, "ana", 60)
        assert claimed is not None
        assert claimed.attempts == attempt
        assert jobs.hand_back(db, job.id, "ana")
        assert jobs.get(db, job.id).state == "queued"


def test_cancelling(db: Database) -> None:
    waiting, running, abandoned = (jobs.submit(db, "train", {"n": number}) for number in range(3))
    assert jobs.cancel(db, waiting.id).state == "cancelled"
    assert jobs.claim(db, "ana", 60).id == running.id  # type: ignore[union-attr]
    assert jobs.cancel(db, running.id).state == "running"
    assert jobs.cancel(db, running.id).state == "running", "asking twice is no mistake"
    assert jobs.beat(db, running.id, "ana", 60) == "cancel"
    assert jobs.stopped(db, running.id, "ana", ErrorInfo(code="interrupted", message="2 epochs are kept"))
    ended = jobs.get(db, running.id)
    assert (ended.state, ended.error and ended.error.message) == ("cancelled", "2 epochs are kept")
    jobs.claim(db, "dead", -1)
    assert jobs.cancel(db, abandoned.id).state == "cancelled", "nobody is there to be asked"
    for job in (waiting, running, abandoned):
        with pytest.raises(ConflictError):
            jobs.cancel(db, job.id)
    with pytest.raises(NotFoundError):
        jobs.cancel(db, "nope")


def test_a_cancelled_job_is_not_begun_again(db: Database) -> None:
    for end in ("lease", "hand back", "death"):
        job = jobs.submit(db, "train", {"end": end})
        jobs.claim(db, "ana", -1 if end == "lease" else 60)
        if end != "lease":
            jobs.cancel(db, job.id)
        else:
            with db.write() as connection:
                connection.execute(jobs.jobs.update().where(jobs.jobs.c.id == job.id).values(cancel=1))
        if end == "hand back":
            jobs.hand_back(db, job.id, "ana")
        elif end == "death":
            jobs.died(db, job.id, "ana", "it died")
        assert jobs.claim(db, "ben", 60) is None
        assert jobs.get(db, job.id).state == "cancelled", end


def test_what_is_not_there(db: Database) -> None:
    for look in (jobs.get, jobs.peek):
        with pytest.raises(NotFoundError) as caught:
            look(db, "../../etc/passwd\n")
        assert "passwd" not in caught.value.message
    assert jobs.beat(db, "nope", "ana", 60) == "lost"


def test_the_queue_has_an_end(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_QUEUED", 2)
    jobs.submit(db, "train", {"n": 1}, "one")
    jobs.submit(db, "train", {"n": 2})
    with pytest.raises(OverloadError):
        jobs.submit(db, "train", {"n": 3})
    assert jobs.submit(db, "train", {"n": 1}, "one").state == "queued", "it has been taken in already"
    jobs.claim(db, "ana", 60)
    jobs.submit(db, "train", {"n": 3})


def test_old_jobs_are_forgotten_others_never(db: Database) -> None:
    ended, _waiting = jobs.submit(db, "train", {"n": 1}), jobs.submit(db, "train", {"n": 2})
    jobs.claim(db, "ana", 60)
    jobs.finish(db, ended.id, "ana", None)
    assert jobs.prune(db, days=1) == 0
    assert jobs.prune(db, days=-1) == 1
    assert [job.arguments for job in jobs.list_jobs(db)] == [{"n": 2}]


def test_many_workers_race_and_each_job_runs_once(db: Database) -> None:
    submitted = {jobs.submit(db, "train", {"n": number}).id for number in range(60)}
    ran: list[str] = []

    def work() -> None:
        own = Database(db.engine)  # as processes have: no lock of ours keeps the threads apart, only the database does
        name = threading.current_thread().name
        while (job := jobs.claim(own, name, 60)) is not None:
            assert jobs.beat(own, job.id, name, 60, {"done": 1}) == "go"
            ran.append(job.id)
            assert jobs.finish(own, job.id, name, {"by": name})

    _at_once(work, 8)
    assert Counter(ran) == Counter(submitted)
    assert {job.state for job in jobs.list_jobs(db)} == {"done"}


def _at_once(work, count: int) -> None:
    """Run `work` in threads that begin together; what one raises is raised here."""
    gate, raised = threading.Barrier(count), []

    def one() -> None:
        gate.wait()
        try:
            work()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
