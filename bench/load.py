"""A light load generator: raw HTTP/1.1 over asyncio, one prepared request, closed loop (callers) or open loop (arrivals).

Run in a process of its own; prints one JSON line. It shares the cores with the server, so it does as little as it can.

    python bench/load.py PORT PATH PICTURE... --callers 16 --seconds 5
    python bench/load.py PORT PATH PICTURE... --rate 800 --seconds 5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from pathlib import Path


class Connection(asyncio.Protocol):
    """Sends one request at a time and tells when its answer is complete."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiter: asyncio.Future[int] | None = None
        self._buffer = b""
        self._left = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiter and not self.waiter.done():
            self.waiter.set_exception(exc or ConnectionResetError())

    def ask(self, request: bytes) -> asyncio.Future[int]:
        self._buffer, self._left = b"", -1
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[union-attr]
        return self.waiter

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._left < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at : head.find(b"\r", at) if head.find(b"\r", at) > 0 else None])
            self._left = end + 4 + length
        if len(self._buffer) >= self._left and self.waiter and not self.waiter.done():
            self.waiter.set_result(int(self._buffer[9:12]))


def requests(port: int, path: str, pictures: list[Path], kind: str) -> list[bytes]:
    found = []
    for picture in pictures:
        body = picture.read_bytes()
        content = f"Content-Type: {kind}"
        if kind == "multipart":
            start = b'--xyzzy\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
            body, content = start + body + b"\r\n--xyzzy--\r\n", "Content-Type: multipart/form-data; boundary=xyzzy"
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{content}\r\nContent-Length: {len(body)}\r\n\r\n"
        found.append(head.encode() + body)
    return found


async def closed_loop(port: int, made: list[bytes], callers: int, seconds: float) -> list[tuple[int, float]]:
    """`callers` connections, each asking again as soon as it is answered."""
    loop = asyncio.get_running_loop()
    answers: list[tuple[int, float]] = []
    end = loop.time() + seconds

    async def caller(number: int) -> None:
        _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        while loop.time() < end:
            start = time.perf_counter()
            status = await connection.ask(made[number % len(made)])
            answers.append((status, time.perf_counter() - start))
            number += callers
        connection.transport.close()

    await asyncio.gather(*map(caller, range(callers)))
    return answers


async def open_loop(port: int, made: list[bytes], rate: float, seconds: float) -> list[tuple[int, float]]:
    """Requests at fixed times whether or not earlier ones were answered; latency counts from the planned time."""
    loop = asyncio.get_running_loop()
    free: deque[Connection] = deque()
    answers: list[tuple[int, float]] = []
    tasks = set()

    async def one(planned: float, request: bytes) -> None:
        connection = free.popleft() if free else (await loop.create_connection(Connection, "127.0.0.1", port))[1]
        try:
            status = await connection.ask(request)
        except OSError:
            answers.append((0, time.perf_counter() - planned))
            return
        answers.append((status, time.perf_counter() - planned))
        free.append(connection)

    start = time.perf_counter()
    count = int(rate * seconds)
    for number in range(count):
        planned = start + number / rate
        wait = planned - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = loop.create_task(one(planned, made[number % len(made)]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks, timeout=30)
    return answers


def summary(answers: list[tuple[int, float]], seconds: float) -> dict[str, object]:
    by_status: dict[int, list[float]] = {}
    for status, took in answers:
        by_status.setdefault(status, []).append(took * 1000)
    found: dict[str, object] = {}
    for status, times in sorted(by_status.items()):
        times.sort()
        found[str(status)] = {
            "count": len(times),
            "per_second": len(times) / seconds,
            **{name: times[min(len(times) - 1, int(share * len(times)))] for name, share in _SHARES.items()},
        }
    return found


_SHARES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--kind", default="application/octet-stream", help="content type, or `multipart`")
    given = parser.parse_args()
    made = requests(given.port, given.path, given.pictures, given.kind)
    if given.rate:
        work = open_loop(given.port, made, given.rate, given.seconds)
    else:
        work = closed_loop(given.port, made, given.callers, given.seconds)
    try:
        import uvloop

        answers = uvloop.run(work)
    except ModuleNotFoundError:
        answers = asyncio.run(work)
    json.dump(summary(answers, given.seconds), sys.stdout)


if __name__ == "__main__":
    main()
