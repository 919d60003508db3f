"""What needs a real process and real sockets: signals, overload, bad clients, the way it refuses to start."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from pictures import COLOURS, drawn, encoded
from sightline.errors import NotFoundError, UsageError
from sightline.web.serve import serve

RED = encoded(drawn(1, colour=COLOURS["red"]))
LARGE = encoded(drawn(1, (3000, 2000), COLOURS["red"]), quality=95)


def ask(port: int, content: bytes = RED) -> tuple[int, dict]:
    """One request on a connection of its own; raises when the connection breaks before the whole answer is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/predict", content, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def raw(port: int, *pieces: bytes, wait: float = 60) -> bytes:
    """Everything that comes back for bytes sent as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
        found = b""
        while part := connection.recv(65_536):
            found += part
        return found


def status_of(answer: bytes) -> int:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert set(json.loads(body)["error"]) == {"code", "message", "hint", "detail", "id"}
    assert b"x-request-id" in head
    return int(head.split()[1])


def in_parallel(work, count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_sigterm_finishes_what_is_inside_refuses_the_rest_and_exits_0(start, bundle: Path):
    server = start(bundle, "--no-pages")
    answers: Counter[int] = Counter()
    broken: list[str] = []
    begun = threading.Barrier(5)

    def caller() -> None:
        ask(server.port, LARGE)
        begun.wait()
        while True:
            try:
                status, body = ask(server.port, LARGE)
            except ConnectionRefusedError:
                return
            except Exception as error:
                broken.append(repr(error))
                return
            answers[status] += 1
            if status == 503:
                assert body["error"]["code"] == "unavailable"
                return  # as a balancer would: this server is told off the list

    callers = [threading.Thread(target=caller) for _ in range(4)]
    for thread in callers:
        thread.start()
    begun.wait()
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    for thread in callers:
        thread.join()
    assert server.process.wait(30) == 0, server.log.read_text()
    assert broken == []
    assert set(answers) <= {200, 503}
    assert answers[503] == 4, answers
    assert "Traceback" not in server.log.read_text()


def test_the_second_sigterm_exits_at_once(start, bundle: Path):
    server = start(bundle, "--no-pages", "--grace-s", "60")
    with socket.create_connection(("127.0.0.1", server.port)) as slow:  # a request that is never complete
        slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nx")
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 128 + signal.SIGTERM


def test_overload_is_answered_with_429_and_ends(start, bundle: Path):
    server = start(bundle, "--no-pages", "--queue", "4")
    answers: Counter[int] = Counter()

    def caller() -> None:
        for _ in range(4):
            status, body = ask(server.port, LARGE)
            answers[status] += 1
            assert ("results" in body) == (status == 200)

    in_parallel(caller, 20)
    assert answers.total() == 80
    assert set(answers) == {200, 429}
    time.sleep(1.1)
    assert ask(server.port)[0] == 200
    assert 'sightline_rejected_total{reason="overloaded"}' in httpx.get(f"{server.url}/metrics").text


def test_bad_clients_get_typed_answers_and_do_not_stop_good_ones(start, bundle: Path):
    server = start(bundle, "--no-pages", "--max-body-mb", "0.1")
    half_open = []
    for index in range(200):
        connection = socket.create_connection(("127.0.0.1", server.port))
        if index % 2:
            connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000\r\n\r\nx")
        else:
            connection.sendall(b"POST /v1/pred")
        half_open.append(connection)
    assert ask(server.port)[0] == 200

    head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    chunk = b"%x\r\n%b\r\n" % (50_000, b"x" * 50_000)
    port = server.port
    assert status_of(raw(port, head + b"Content-Length: 99999999999\r\n\r\n" + b"x" * 1000, b"x" * 300_000)) == 413
    assert status_of(raw(port, head + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, chunk)) == 413
    assert status_of(raw(port, head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")) == 400
    assert status_of(raw(port, b"nonsense\r\n\r\n")) == 400
    assert status_of(raw(port, head + b"".join(b"X-%d: %b\r\n" % (i, b"y" * 1000) for i in range(1000)))) == 431
    assert ask(port)[0] == 200
    for connection in half_open:
        connection.close()
    assert ask(port)[0] == 200


def test_slow_headers_and_slow_bodies_are_let_go(monkeypatch, bundle: Path):
    """In this process, with short deadlines."""
    from sightline.web import protocol, server
    from sightline.web.serve import create_front

    monkeypatch.setattr(protocol.Protocol, "header_s", 0.2)
    monkeypatch.setattr(protocol.Protocol, "most_connections", 5)
    front = create_front(str(bundle), pages=False, threads=1)
    assert front.service is not None
    front.service.intake.grace_s = 0.2
    listener = server.bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    made = []
    monkeypatch.setattr(server.Server, "__init__", _remembering(server.Server.__init__, made))
    thread = threading.Thread(target=server.run, args=(front, listener), kwargs={"grace": 1})
    thread.start()
    try:
        while not (made and made[0].started):
            time.sleep(0.02)
        assert raw(port) == b""  # never asked anything: closed
        assert status_of(raw(port, b"GET / HT")) == 408
        assert status_of(raw(port, b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nx")) == 408
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        assert ask(port)[0] == 200  # the oldest half-open ones made room
        for one in crowd:
            one.close()
    finally:
        made[0].should_exit = True
        thread.join()


def _remembering(init, made: list):
    def remember(self, *arguments, **options) -> None:
        init(self, *arguments, **options)
        made.append(self)

    return remember


def test_the_network_without_a_key_is_refused_with_the_command_to_run(bundle: Path):
    with pytest.raises(UsageError) as caught:
        serve(str(bundle), host="0.0.0.0", port=0)
    assert "sightline keys --new" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {"queue": 0},
        {"threads": 0},
        {"port": 70_000},
        {"max_body_mb": 0.0},
        {"grace_s": -1.0},
        {"pages_for": "ftp://x"},
        {"pages_for": "http://127.0.0.1:1", "pages": False},
        {"host": "203.0.113.77"},
    ],
)
def test_impossible_options_are_named(bundle: Path, options: dict):
    with pytest.raises(UsageError):
        serve(None if "pages_for" in options else str(bundle), **options)


def test_a_taken_port_and_a_missing_root_are_named(bundle: Path, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(UsageError) as caught:
        serve(str(bundle), port=other.getsockname()[1])
    assert "--port" in caught.value.hint
    with pytest.raises(NotFoundError):
        serve(str(bundle), root=tmp_path / "nope")


def test_importing_serve_loads_no_web_framework():
    code = "import sys, sightline.web.serve, sightline.web.keys\nprint({'fastapi', 'nicegui', 'uvicorn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "set()"
