"""A server over the tiny model: inside this process for the routes, a process of its own for sockets, signals and pages."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from bundles import tiny_bundle
from sightline.web.gate import Gate
from sightline.web.serve import create_front

LOCAL = "http://127.0.0.1"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def open_client(bundle: Path) -> Iterator[Callable[..., TestClient]]:
    """`open_client(gate=..., root=..., ...)`: a client of a whole application, without pages."""
    opened: list[TestClient] = []

    def open_one(gate: Gate | None = None, model: Path | None = None, **options: object) -> TestClient:
        front = create_front(str(model or bundle), gate, pages=False, threads=2, **options)
        client = TestClient(front, base_url=LOCAL, raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(open_client: Callable[..., TestClient]) -> TestClient:
    return open_client()


class Process:
    """`sightline serve` as users run it."""

    def __init__(self, *arguments: str, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"{LOCAL}:{self.port}"
        code = "from sightline.cli import main; main()"
        self.log = home / f"serve-{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "serve", *arguments, "--port", str(self.port)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "SIGHTLINE_HOME": str(home), "SIGHTLINE_THREADS": "2"},
            )
        self._wait()

    def _wait(self) -> None:
        for _ in range(600):
            if self.process.poll() is not None:
                pytest.fail(f"the server ended: {self.log.read_text()}")
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        pytest.fail(f"the server did not start: {self.log.read_text()}")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def serving(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One running server with pages, for all tests that do not stop it."""
    process = Process(str(bundle), home=tmp_path_factory.mktemp("serving"))
    yield process
    process.end()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """`start("model", "--no-pages")`: a running server process."""
    running: list[Process] = []

    def start_one(*arguments: object) -> Process:
        process = Process(*map(str, arguments), home=tmp_path)
        running.append(process)
        return process

    yield start_one
    for process in running:
        process.end()
