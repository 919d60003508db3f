"""Jobs over HTTP: taking one in (202), looking at it, its progress as server-sent events, cancelling it. Runs none itself.

A stream of events takes no place in the queue of pictures, ends when the client goes, and does not hold up a server that stops:
the client connects again, to the next server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from sightline.errors import OverloadError, UnavailableError, UsageError
from sightline.jobs.runner import Crew
from sightline.store import jobs as store
from sightline.store.database import Database
from sightline.types import Job, JobState, Record

LOOK_S = 0.5  # between two looks at a job that is streamed
HEARTBEAT_S = 15.0
CLOSE_S = 30.0
MOST_STREAMS = 100
MOST_KEY = 255  # characters
_LAST = "end"  # the id of a stream's last event


class JobList(Record):
    jobs: tuple[Job, ...]


class Desk:
    """Where verbs are taken in; with a `crew` the jobs are run here too. `stopping` says whether the server is."""

    def __init__(self, db: Database, crew: Crew | None, stopping: Callable[[], bool]) -> None:
        self.db, self.crew, self.stopping = db, crew, stopping
        self.streams = 0
        self.turn = asyncio.Semaphore(1)  # of the verbs that are answered at once
        self.look_s, self.heartbeat_s = LOOK_S, HEARTBEAT_S

    def open(self) -> None:
        if self.crew is not None:
            self.crew.start()

    def stop(self) -> None:
        """Begin to hand back the jobs that run here; returns at once."""
        if self.crew is not None:
            self.crew.stop()

    def close(self) -> None:
        """Wait until they are handed back."""
        self.stop()
        if self.crew is not None:
            self.crew.join(CLOSE_S)

    async def take(self, verb: str, arguments: dict[str, Any], key: str | None) -> Response:
        """The answer to a request that became a job: 202, and where to look."""
        job = await asyncio.to_thread(store.submit, self.db, verb, arguments, key)
        if self.crew is not None:
            self.crew.wake()
        return JSONResponse(job.model_dump(mode="json"), 202, headers={"Location": f"/v1/jobs/{job.id}"})


def idempotency_key(request: Request) -> str | None:
    """The client's own name for its request; raises UsageError for an impossible one."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= MOST_KEY and key.isascii() and key.isprintable()):
        raise UsageError(f"an Idempotency-Key has 1 to {MOST_KEY} printable characters", hint="a random UUID does well")
    return key


def wants_job(request: Request) -> bool:
    """`Prefer: respond-async` (RFC 7240): the client would rather have a job than wait."""
    given = ",".join(request.headers.getlist("prefer"))
    return any(part.split(";")[0].strip().lower() == "respond-async" for part in given.split(","))


def job_router(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

    @router.get("", summary="The newest jobs, without their results")
    async def list_jobs(state: JobState | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> JobList:
        return JobList(jobs=tuple(await asyncio.to_thread(store.list_jobs, desk.db, state, limit)))

    @router.get("/{job}", summary="One job: its state, progress, and result or error")
    async def show_job(job: str) -> Job:
        return await asyncio.to_thread(store.get, desk.db, job)

    @router.post("/{job}/cancel", summary="Stop a job; what is done is kept")
    async def cancel_job(job: str) -> Job:
        return await asyncio.to_thread(store.cancel, desk.db, job)

    @router.get(
        "/{job}/events",
        summary="A job's progress as server-sent events: `progress` while it runs, then one `job`",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
            204: {"description": "you have had the last event"},
        },
    )
    async def watch_job(job: str, request: Request) -> Response:
        now = await asyncio.to_thread(store.peek, desk.db, job)
        if now.state in store.ENDED and request.headers.get("last-event-id") == _LAST:
            return Response(status_code=204)  # or a browser would connect again for ever
        if desk.stopping():
            raise UnavailableError("the server is stopping", hint="send the request again in a moment")
        if desk.streams >= MOST_STREAMS:
            raise OverloadError(f"{MOST_STREAMS} jobs are being watched", hint="ask for the job itself from time to time")
        return StreamingResponse(
            _events(desk, now), media_type="text/event-stream", headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
        )

    return router


async def _events(desk: Desk, job: Job) -> AsyncIterator[str]:
    """What a stream says: every change of state and progress that is noticed, a comment when there is none, the end."""
    loop = asyncio.get_running_loop()
    said: object = None
    last = loop.time()
    desk.streams += 1
    try:
        yield "retry: 2000\n\n"
        while job.state not in store.ENDED:
            now = {"state": job.state, "attempts": job.attempts, **(job.progress or {})}
            if now != said:
                said, last = now, loop.time()
                yield _event("progress", now)
            elif loop.time() - last >= desk.heartbeat_s:
                last = loop.time()
                yield ": still here\n\n"
            await asyncio.sleep(desk.look_s)
            if desk.stopping():
                return
            job = await asyncio.to_thread(store.peek, desk.db, job.id)
        whole = await asyncio.to_thread(store.get, desk.db, job.id)
        yield f"id: {_LAST}\n" + _event("job", whole.model_dump(mode="json"))
    finally:
        desk.streams -= 1


def _event(kind: str, content: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(content)}\n\n"
