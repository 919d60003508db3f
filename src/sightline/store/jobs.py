"""Jobs: long verbs in a table, claimed by workers for a while. Knows states and leases; does not know how a verb is run.

A worker that claims a job has it for itself until the lease ends, and prolongs it with every beat. A worker that dies stops
beating, so that another takes the job over; a job whose workers died MOST_DEATHS times has failed. All times are taken from the
database where it has a clock of its own, so that the machines' clocks need not agree.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from sightline.errors import ConflictError, NotFoundError, OverloadError
from sightline.store.database import Database
from sightline.store.schema import jobs
from sightline.types import ErrorInfo, Job, JobState

MOST_DEATHS = 3
MOST_QUEUED = 1000
KEPT_DAYS = 30.0
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")

Beat = Literal["go", "cancel", "lost"]

_SHOWN = [column for column in jobs.c if column.name in Job.model_fields]
_LISTED = [column for column in _SHOWN if column.name != "result"]


def submit(db: Database, verb: str, arguments: dict[str, Any], key: str | None = None) -> Job:
    """Put a job into the queue. `arguments` are JSON values; `key` names the request: sent again, it is the same job.

    Raises ConflictError for a key that stands for another request, OverloadError when MOST_QUEUED jobs wait already.
    """
    values = {
        "id": f"{time.time_ns():016x}{secrets.token_hex(8)}",  # in the order of their coming
        "verb": verb,
        "arguments": arguments,
        "state": "queued",
        "key": key,
        "attempts": 0,
        "deaths": 0,
        "worker": "",
        "lease": 0.0,
        "cancel": 0,
        "created": _today(),
        "started": "",
        "ended": "",
    }
    try:
        with db.write() as connection:
            found = _keyed(connection, key)
            if found is None:
                waiting = connection.scalar(select(func.count()).select_from(jobs).where(jobs.c.state == "queued")) or 0
                if waiting >= MOST_QUEUED:
                    raise OverloadError(
                        f"{waiting} jobs are waiting already", hint="send it again later", detail={"retry_after_s": 30}
                    )
                connection.execute(insert(jobs).values(values))
                return _job(connection, str(values["id"]))
    except IntegrityError:  # the same key at the same moment, on a database with several writers
        with db.read() as connection:
            found = _keyed(connection, key)
        if found is None:
            raise
    if (found.verb, found.arguments) != (verb, arguments):
        raise ConflictError(
            "this Idempotency-Key stands for another request", hint="use a new key for a new request", detail={"job": found.id}
        )
    return found


def claim(db: Database, worker: str, seconds: float) -> Job | None:
    """The job that has waited longest, now this worker's for `seconds`; None when nothing waits.

    A job whose lease has ended is taken over from its dead worker; when that happened too often it is marked failed here.
    """
    with db.read() as connection:  # most calls find nothing: no writer's turn is taken for that
        if connection.scalar(select(jobs.c.id).where(_free(_now(connection, db))).limit(1)) is None:
            return None
    while True:
        with db.write() as connection:
            now = _now(connection, db)
            query = select(jobs).where(_free(now)).order_by(jobs.c.id).limit(1).with_for_update(skip_locked=True)
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            if row["state"] == "running" and not _survives(connection, row, "its worker died, or was cut off", now):
                continue
            values = {
                "state": "running",
                "worker": worker[:100],
                "lease": now + seconds,
                "attempts": row["attempts"] + 1,
                "started": row["started"] or _today(),
            }
            connection.execute(update(jobs).where(jobs.c.id == row["id"]).values(values))
            return _job(connection, row["id"])


def beat(db: Database, job: str, worker: str, seconds: float, progress: dict[str, Any] | None = None) -> Beat:
    """Prolong the lease and store the progress. `cancel`: somebody asked to stop; `lost`: it is not this worker's any more."""
    with db.write() as connection:
        values: dict[str, Any] = {"lease": _now(connection, db) + seconds}
        if progress is not None:
            values["progress"] = progress
        if not _change(connection, job, worker, values):
            return "lost"
        return "cancel" if connection.scalar(select(jobs.c.cancel).where(jobs.c.id == job)) else "go"


def finish(db: Database, job: str, worker: str, result: dict[str, Any] | None) -> bool:
    """Store the result; False when the job is not this worker's any more (then nothing is stored)."""
    return _end(db, job, worker, {"state": "done", "result": result})


def fail(db: Database, job: str, worker: str, error: ErrorInfo) -> bool:
    """Store why it failed; False as for `finish`."""
    return _end(db, job, worker, {"state": "failed", "error": error.model_dump()})


def stopped(db: Database, job: str, worker: str, error: ErrorInfo | None = None) -> bool:
    """It has stopped because it was asked to; `error` says what was kept. False as for `finish`."""
    return _end(db, job, worker, {"state": "cancelled", "error": error.model_dump() if error else None})


def hand_back(db: Database, job: str, worker: str) -> bool:
    """Return a job that is not finished: the next worker that asks goes on with it. False as for `finish`."""
    with db.write() as connection:
        if not _change(connection, job, worker, {"state": "queued", "worker": "", "lease": 0.0}):
            return False
        asked = connection.scalar(select(jobs.c.cancel).where(jobs.c.id == job))
        if asked:
            connection.execute(update(jobs).where(jobs.c.id == job).values(state="cancelled", ended=_today()))
        return True


def died(db: Database, job: str, worker: str, reason: str, wait_s: float = 0.0) -> bool:
    """The job's process died without a word: it is queued again, not before `wait_s`, or has failed with `reason`."""
    with db.write() as connection:
        query = select(jobs).where(jobs.c.id == job, jobs.c.worker == worker, jobs.c.state == "running").with_for_update()
        row = connection.execute(query).mappings().first()
        if row is None:
            return False
        now = _now(connection, db)
        if _survives(connection, row, reason, now):
            values = {"state": "queued", "worker": "", "lease": now + wait_s}
            connection.execute(update(jobs).where(jobs.c.id == job).values(values))
        return True


def cancel(db: Database, job: str) -> Job:
    """Stop a job: one that waits at once, one that runs as soon as its worker hears of it.

    Raises NotFoundError, and ConflictError for a job that has ended.
    """
    with db.write() as connection:
        found = connection.execute(select(jobs).where(jobs.c.id == job).with_for_update()).mappings().first()
        if found is None:
            raise _unknown(job)
        if found["state"] in ENDED:
            raise ConflictError(f"the job has ended already: it is {found['state']}", hint=f"GET /v1/jobs/{job} shows it")
        abandoned = found["state"] == "running" and found["lease"] < _now(connection, db)
        values: dict[str, Any] = {"cancel": 1}
        if found["state"] == "queued" or abandoned:
            values |= {"state": "cancelled", "worker": "", "ended": _today()}
        connection.execute(update(jobs).where(jobs.c.id == job).values(values))
        return _job(connection, job)


def get(db: Database, job: str) -> Job:
    """One job with its result; raises NotFoundError."""
    with db.read() as connection:
        return _job(connection, job)


def list_jobs(db: Database, state: JobState | None = None, limit: int = 100) -> list[Job]:
    """The newest first, without their results, which may be long."""
    query = select(*_LISTED).order_by(jobs.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(jobs.c.state == state)
    with db.read() as connection:
        return [Job.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def peek(db: Database, job: str) -> Job:
    """As `get`, without the result: for those who look often. Raises NotFoundError."""
    with db.read() as connection:
        row = connection.execute(select(*_LISTED).where(jobs.c.id == job)).mappings().first()
    if row is None:
        raise _unknown(job)
    return Job.model_validate(dict(row))


def prune(db: Database, days: float = KEPT_DAYS) -> int:
    """Forget jobs that ended longer than `days` ago; says how many."""
    before = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    with db.write() as connection:
        return connection.execute(delete(jobs).where(jobs.c.state.in_(ENDED), jobs.c.ended < before)).rowcount


def _free(now: float) -> ColumnElement[bool]:
    """Rows that a worker may take: queued ones whose pause is over, running ones whose worker has stopped beating."""
    waits = and_(jobs.c.state == "queued", jobs.c.lease <= now)
    abandoned = and_(jobs.c.state == "running", jobs.c.lease < now)
    return or_(waits, abandoned)


def _survives(connection: Connection, row: RowMapping, reason: str, now: float) -> bool:
    """Count a death; may the job be tried again? When not, it has ended. Its row is locked by the caller."""
    deaths = row["deaths"] + 1
    values: dict[str, Any] = {"deaths": deaths, "lease": now}
    if row["cancel"]:
        values |= {"state": "cancelled", "worker": "", "ended": _today()}
    elif deaths >= MOST_DEATHS:
        error = ErrorInfo(
            code="internal",
            message=f"the process that ran it died {deaths} times; the last time {reason}",
            hint="give it fewer pictures or a machine with more memory, then ask for it again",
        )
        values |= {"state": "failed", "worker": "", "ended": _today(), "error": error.model_dump()}
    connection.execute(update(jobs).where(jobs.c.id == row["id"]).values(values))
    return "state" not in values


def _end(db: Database, job: str, worker: str, values: dict[str, Any]) -> bool:
    with db.write() as connection:
        return _change(connection, job, worker, {**values, "ended": _today()})


def _change(connection: Connection, job: str, worker: str, values: dict[str, Any]) -> bool:
    """Change a running job that is still this worker's; says whether it was."""
    mine = and_(jobs.c.id == job, jobs.c.worker == worker, jobs.c.state == "running")
    return connection.execute(update(jobs).where(mine).values(values)).rowcount == 1


def _keyed(connection: Connection, key: str | None) -> Job | None:
    if key is None:
        return None
    row = connection.execute(select(*_SHOWN).where(jobs.c.key == key)).mappings().first()
    return None if row is None else Job.model_validate(dict(row))


def _job(connection: Connection, job: str) -> Job:
    row = connection.execute(select(*_SHOWN).where(jobs.c.id == job)).mappings().first()
    if row is None:
        raise _unknown(job)
    return Job.model_validate(dict(row))


def _unknown(job: str) -> NotFoundError:
    shown = job if job.isalnum() and len(job) <= 64 else "of that name"
    return NotFoundError(f"there is no job {shown}", hint="GET /v1/jobs lists them")


def _now(connection: Connection, db: Database) -> float:
    """Seconds since 1970 by the clock that all workers share."""
    if db.sqlite:
        return time.time()
    return float(connection.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0.0)


def _today() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
