"""One fetch: what is asked, redirects, caps on bytes and time, and that nothing inside can be reached."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from sightline.errors import AddressError, FetchError
from sightline.sources import fetch as fetch_module
from sightline.sources.fetch import Access, Caps, fetch

OWN = Access(allow_private=True)
QUICK = Caps(bytes=10_000, connect_s=2, total_s=5, retry_s=0.01)


def moved(to: str, status: int = 302) -> tuple[int, dict[str, str], bytes]:
    return status, {"Location": to}, b""


def test_what_is_asked(site):
    site.pages["/a?b=1"] = 200, {"Content-Type": 'Text/HTML; Charset="UTF-8"'}, b"hello"
    found = fetch(f"{site.url}/a?b=1", QUICK, OWN)
    assert (found.data, found.kind, found.charset, found.size) == (b"hello", "text/html", "utf-8", 5)
    headers = site.headers[0]
    assert headers["User-Agent"].startswith("sightline/")
    assert headers["Host"] == f"127.0.0.1:{site.port}"
    assert headers["Accept-Encoding"] == "identity"


def test_into_a_file(site, tmp_path: Path):
    site.pages["/a"] = b"x" * 9000
    found = fetch(f"{site.url}/a", QUICK, OWN, into=tmp_path / "new" / "a")
    assert (found.data, found.size, (tmp_path / "new" / "a").read_bytes()) == (b"", 9000, b"x" * 9000)


def test_redirects_are_followed_five_times(site):
    site.pages |= {f"/{n}": moved(f"/{n + 1}") for n in range(8)}
    site.pages["/9"] = moved("/10", 308)
    site.pages["/10"] = b"here"
    assert fetch(f"{site.url}/9", QUICK, OWN).url == f"{site.url}/10"
    with pytest.raises(FetchError, match="more than 5"):
        fetch(f"{site.url}/0", QUICK, OWN)
    assert len(site.hits) == 2 + 6


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/secret",
        "http://[::ffff:127.0.0.1]:{port}/secret",
        "http://localhost:{port}/secret",
        "http://inside.example:{port}/secret",
        "http://both.example:{port}/secret",
        "http://2130706433:{port}/secret",
        "http://127.1:{port}/secret",
        "//inside.example:{port}/secret",
        "http://public.example@127.0.0.1:{port}/secret",
        "http://169.254.169.254/secret",
        "file:///etc/passwd",
        "ftp://inside.example/secret",
    ],
)
@pytest.mark.parametrize("hops", [1, 3])
def test_a_redirect_never_leads_inside(site, secret, names, target: str, hops: int):
    names |= {"inside.example": ["127.0.0.1"], "both.example": ["93.184.215.14", "127.0.0.1"]}
    ports = frozenset((host, secret.port) for host in ("127.0.0.1", "::ffff:127.0.0.1", "localhost", *names))
    site.pages |= {f"/{n}": moved(f"http://public.example/{n + 1}") for n in range(hops)}
    site.pages[f"/{hops - 1}"] = moved(target.format(port=secret.port))
    with pytest.raises(AddressError):
        fetch("http://public.example/0", QUICK, Access(ports=ports))
    assert secret.hits == []
    assert len(site.hits) == hops


def test_a_name_is_resolved_once_and_the_checked_address_is_connected(site, secret, monkeypatch):
    """DNS rebinding: a name that is public when it is checked and inside when it is connected."""
    answers = [["93.184.215.14"], ["127.0.0.1"], ["127.0.0.1"]]
    asked: list[str] = []
    connected: list[tuple[str, int]] = []

    def getaddrinfo(host: str, port: int, *_: object, **__: object):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[len(asked) - 1]]

    def connect(_: object, address: str, port: int, __: float) -> socket.socket:
        connected.append((address, port))
        made = socket.socket()
        made.connect(("127.0.0.1", site.port))
        return made

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(fetch_module._Checked, "_connected", connect)
    site.pages["/a"] = b"x"
    assert fetch(
        f"http://rebinding.example:{secret.port}/a", QUICK, Access(ports=frozenset({("rebinding.example", secret.port)}))
    )
    assert (asked, connected) == (["rebinding.example"], [("93.184.215.14", secret.port)])
    with pytest.raises(AddressError):  # the second answer is inside: refused before anything is connected
        fetch(f"http://rebinding.example:{secret.port}/a", QUICK, Access(ports=frozenset({("rebinding.example", secret.port)})))
    assert len(connected) == 1
    assert secret.hits == []
    assert site.headers[0]["Host"] == f"rebinding.example:{secret.port}"


def test_tls_keeps_the_name(monkeypatch, names):
    """The connection goes to the checked address; the certificate is asked for, and checked, by name."""
    seen: list[object] = []

    class Context:
        def set_alpn_protocols(self, _: object) -> None: ...

        def wrap_socket(self, connection: socket.socket, server_hostname: str) -> socket.socket:
            seen.append(server_hostname)
            connection.close()
            raise ConnectionResetError("enough")

    monkeypatch.setattr(fetch_module, "_tls", Context)
    with pytest.raises(FetchError, match="no connection"):
        fetch("https://public.example/a", QUICK)
    assert set(seen) == {"public.example"}


def test_caps_on_bytes(site):
    site.pages["/said"] = b"x" * 20_000

    def unsaid(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            for _ in range(10_000):
                request.wfile.write(b"x" * 10_000)
        except OSError:
            pass

    site.pages["/unsaid"] = unsaid
    for path in ("/said", "/unsaid"):
        with pytest.raises(FetchError, match="larger than"):
            fetch(site.url + path, QUICK, OWN)


def test_caps_count_unpacked_bytes(site):
    site.pages["/small"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 9000)
    site.pages["/bomb"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 50_000_000)[:9000]
    site.pages["/deflate"] = 200, {"Content-Encoding": "deflate"}, zlib.compress(b"x" * 50_000)
    site.pages["/tail"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(b"x") + b"rest" * 2000
    site.pages["/strange"] = 200, {"Content-Encoding": "br"}, b"x"
    site.pages["/wrong"] = 200, {"Content-Encoding": "gzip"}, b"no gzip"
    assert fetch(f"{site.url}/small", QUICK, OWN).data == b"x" * 9000
    assert fetch(f"{site.url}/tail", QUICK, OWN).data == b"x"
    for path, why in {"/bomb": "larger", "/deflate": "larger", "/strange": "encoding", "/wrong": "no sense"}.items():
        with pytest.raises(FetchError, match=why):
            fetch(site.url + path, QUICK, OWN)


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_byte_now_and_then_gains_no_time(site, where: str):
    def drip(request: BaseHTTPRequestHandler) -> None:
        try:
            if where == "body":
                request.send_response(200)
                request.end_headers()
            for _ in range(200):
                request.wfile.write(b"H")
                request.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    site.pages["/"] = drip
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"too slow|no sense"):
        fetch(f"{site.url}/", Caps(total_s=0.5, retry_s=0.01), OWN)
    assert time.monotonic() - began < 8  # it would go on for 10 s


def test_busy_servers_are_asked_again(site):
    turns = iter([(503, {"Retry-After": "0"}, b""), (429, {}, b""), b"here"])

    def busy(request: BaseHTTPRequestHandler) -> None:
        answer = next(turns)
        status, fields, body = answer if isinstance(answer, tuple) else (200, {}, answer)
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    site.pages["/"] = busy
    assert fetch(f"{site.url}/", QUICK, OWN).data == b"here"
    site.pages["/later"] = 503, {"Retry-After": "3600"}, b""
    with pytest.raises(FetchError, match="too busy"):
        fetch(f"{site.url}/later", QUICK, OWN)
    assert site.hits.count("/later") == 1


@pytest.mark.parametrize(("status", "words"), [(404, "not there"), (401, "login"), (500, "failed"), (204, "refused")])
def test_statuses(site, status: int, words: str):
    site.pages["/"] = status, {}, b""
    with pytest.raises(FetchError, match=words) as caught:
        fetch(f"{site.url}/", QUICK, OWN)
    assert caught.value.detail["status"] == status
    assert caught.value.hint


def test_nonsense_and_nobody(site):
    def nonsense(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"\x00\x01 nonsense\r\n\r\n")

    site.pages["/"] = nonsense
    with pytest.raises(FetchError):
        fetch(f"{site.url}/", QUICK, OWN)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(FetchError, match="no connection"):
        fetch(f"http://127.0.0.1:{port}/", QUICK, OWN)


def test_proxies_of_the_environment_are_not_used(site, secret, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, secret.url)
    site.pages["/"] = b"x"
    assert fetch(f"{site.url}/", QUICK, OWN).data == b"x"
    assert secret.hits == []
