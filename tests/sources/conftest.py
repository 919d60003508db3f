"""A small web site on this machine that counts who asks, and doors through which tests call it a public one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sightline.sources import Options
from sightline.sources import addresses as addresses_module
from sightline.sources import fetch as fetch_module

Answer = bytes | tuple[int, dict[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]
PUBLIC = "93.184.215.14"


class Site:
    """`pages`: path -> answer; `hits`: the paths that were asked for, in order; `headers` of each request."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.hits: list[str] = []
        self.headers: list[dict[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.hits.append(self.path)
                site.headers.append(dict(self.headers))
                answer = site.pages.get(self.path, (404, {}, b"not here"))
                if callable(answer):
                    answer(self)
                    return
                status, fields, body = answer if isinstance(answer, tuple) else (200, {}, answer)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **fields}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def asked(self) -> list[str]:
        """The paths without robots.txt."""
        return [path for path in self.hits if path != "/robots.txt"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def secret() -> Iterator[Site]:
    """A second site, inside: nobody may ever ask it."""
    made = Site()
    made.pages = {"/": b"secret", "/secret": b"secret"}
    yield made
    made.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, site: Site) -> dict[str, list[str]]:
    """Names and what they resolve to; PUBLIC is carried to `site`, every other address is connected to as it stands."""
    table: dict[str, list[str]] = {"public.example": [PUBLIC]}
    real = socket.getaddrinfo
    connected = fetch_module._Checked._connected

    def getaddrinfo(host: str, port: int, *args: object, **options: object):
        if host not in table:
            return real(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in table[host]]

    def connect(self: object, address: str, port: int, seconds: float) -> socket.socket:
        if address == PUBLIC:
            address, port = "127.0.0.1", site.port
        return connected(self, address, port, seconds)

    monkeypatch.setattr(addresses_module.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(fetch_module._Checked, "_connected", connect)
    return table


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(workspace=tmp_path / "workspace", rate=1000.0, allow_private=True)
