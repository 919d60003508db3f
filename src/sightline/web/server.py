"""uvicorn with our way of stopping: ready turns to 503, requests inside finish, new ones get 503, the exit code is 0.

The second signal exits at once. Knows nothing about pictures.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from sightline.errors import UsageError
from sightline.web.front import Front
from sightline.web.protocol import Protocol

SETTLE_S = 0.5  # how long new requests are told 503 before the door closes, so that balancers and clients notice


class Server(uvicorn.Server):
    """`begin_stop` turns new requests away; `busy` tells how many are inside."""

    def __init__(self, config: uvicorn.Config, begin_stop: Callable[[], None], busy: Callable[[], int], grace: float) -> None:
        super().__init__(config)
        self._begin_stop, self._busy, self._grace = begin_stop, busy, grace
        self._signals = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + sig)  # asked twice: nothing is more important than to be gone

    async def main_loop(self) -> None:
        ticks = 0
        while not self._signals and not await self.on_tick(ticks % 864000):
            ticks += 1
            await asyncio.sleep(0.1)
        self._begin_stop()
        loop = asyncio.get_running_loop()
        start = loop.time()
        while loop.time() - start < self._grace and (self._busy() or loop.time() - start < min(SETTLE_S, self._grace)):
            await asyncio.sleep(0.02)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket's address taken before anything is loaded; raises UsageError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, socket.gaierror):
            raise UsageError(f"--host {host} is no address of this machine", hint="use 127.0.0.1 or 0.0.0.0") from error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot listen on {host}:{port}: {reason}", hint="choose another one with --port") from error
    return listener


def run(front: Front, listener: socket.socket, *, grace: float) -> None:
    """Serve until a signal; returns when all is done."""
    _allow_sockets()
    sys.setswitchinterval(0.0005)  # the event loop need not wait 5 ms for a worker that holds the interpreter

    def begin_stop() -> None:
        front.stopping = True
        if front.service is not None:
            front.service.stop()

    def busy() -> int:
        return front.open

    config = uvicorn.Config(
        front,
        http=Protocol,
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=max(1, round(grace)),
        ws_max_size=1 << 20,
    )
    Server(config, begin_stop, busy, grace).run(sockets=[listener])


def _allow_sockets() -> None:
    """Use as many open files as the system lets us: a connection is one."""
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
