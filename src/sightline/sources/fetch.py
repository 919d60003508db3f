"""Fetching one web address so that it cannot be turned against us: checked addresses, checked redirects, caps on everything.

A name is resolved once and the connection goes to exactly the address that was checked; TLS and the Host header keep the name.
Environment proxies are not used: they would resolve names elsewhere. Knows no page and no robots.txt.
"""

from __future__ import annotations

import socket
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from sightline.errors import AddressError, FetchError, missing_extra, storage_errors
from sightline.sources.addresses import Place, joined, placed, resolved

try:
    import httpcore
except ModuleNotFoundError as error:  # pragma: no cover - the extra is part of every test run
    raise missing_extra("store", "fetching from the web") from error

REDIRECTS = 5
TRIES = 4  # where a server says 429 or 503
CONNECTIONS = 2  # tries where there is no connection, or it breaks
LONGEST_PAUSE = 60.0  # seconds that a Retry-After may ask for
_AGAIN = (429, 503)
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Caps:
    """How much one fetch may take: bytes of the body (also unpacked), seconds to connect, and seconds in all."""

    bytes: int = 100_000_000
    connect_s: float = 10.0
    total_s: float = 120.0
    retry_s: float = 1.0  # the first pause before trying again; doubles


@dataclass(frozen=True, slots=True)
class Access:
    """What may be asked: own networks only with `allow_private`; `ports`: (host, port) that a person named."""

    allow_private: bool = False
    ports: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer with status 200. `url` is where it came from after redirects; `data` is empty when it went into a file."""

    url: str
    kind: str  # media type in lower case, without parameters
    data: bytes = field(default=b"", repr=False)
    charset: str = ""
    size: int = 0


class Watch(Protocol):
    """Asked before every request, also of a redirect: waits for the host's turn, raises FetchError where robots.txt says no."""

    def __call__(self, place: Place) -> None: ...


def fetch(
    url: str, caps: Caps | None = None, access: Access | None = None, *, watch: Watch | None = None, into: Path | None = None
) -> Fetched:
    """Fetch `url` (GET), following at most 5 redirects, each judged like the first.

    With `into` the body goes to that file. Raises AddressError (must not be asked; nothing was connected) and FetchError
    (no such host, status, too long, too large, broken), each with the next step.
    """
    wanted = _Wanted(caps or Caps(), access or Access(), watch, into)
    deadline = time.monotonic() + wanted.caps.total_s
    pause = wanted.caps.retry_s
    for turn in range(1, TRIES + 1):
        try:
            return _followed(url, wanted, deadline)
        except _AgainError as again:
            wait = min(pause if again.pause is None else again.pause, LONGEST_PAUSE)
            if turn >= again.tries or time.monotonic() + wait > deadline:
                raise again.error from again
            time.sleep(wait)
            pause *= 2
    raise FetchError(f"{url[:200]} could not be fetched", hint="try again later")


class _AgainError(Exception):
    """It may work a little later; `pause`: seconds the server asked for; `tries`: in all."""

    def __init__(self, error: FetchError, pause: float | None = None, tries: int = TRIES) -> None:
        super().__init__(error.message)
        self.error, self.pause, self.tries = error, pause, tries


@dataclass(frozen=True, slots=True)
class _Wanted:
    caps: Caps
    access: Access
    watch: Watch | None
    into: Path | None


def _followed(url: str, wanted: _Wanted, deadline: float) -> Fetched:
    for _ in range(REDIRECTS + 1):
        place = placed(url, wanted.access.ports, any_port=wanted.access.allow_private)
        if wanted.watch is not None:
            began = time.monotonic()
            wanted.watch(place)
            deadline += time.monotonic() - began  # waiting for one's turn is no slowness of the server
        answer = _asked(place, wanted, deadline)
        if isinstance(answer, Fetched):
            return answer
        url = joined(place.url, answer)
    raise FetchError(
        f"{url[:200]} was redirected more than {REDIRECTS} times", hint="open it in a browser to see where it leads"
    )


def _asked(place: Place, wanted: _Wanted, deadline: float) -> Fetched | str:
    """One request: the answer, or where it redirects to."""
    from sightline import __version__

    caps = wanted.caps

    headers = [
        ("Host", place.url.split("/", 3)[2]),
        ("User-Agent", f"sightline/{__version__}"),
        ("Accept", "image/*, text/html;q=0.9, */*;q=0.5"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    url = httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target)
    backend = _Checked(place, caps, wanted.access.allow_private, deadline)
    connection = httpcore.HTTPConnection(url.origin, _tls(), network_backend=backend)
    with _typed(place), connection, connection.stream("GET", url, headers=headers) as response:
        fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in _MOVED and fields.get("location"):
            return fields["location"]
        if response.status in _AGAIN:
            raise _AgainError(_status(place, response.status), _retry_after(fields.get("retry-after", "")))
        if response.status != 200:
            raise _status(place, response.status)
        said = fields.get("content-length", "")
        if said.isdecimal() and int(said) > caps.bytes:
            raise _too_large(place, caps)
        body = _unpacked(response.iter_stream(), fields.get("content-encoding", "").strip().lower(), place, caps)
        data, size = _taken(body, wanted.into)
        kind, _, rest = fields.get("content-type", "").partition(";")
        charset = rest.lower().partition("charset=")[2].strip(" \"'").partition(";")[0]
        return Fetched(place.url, kind.strip().lower(), data, charset, size)


def _taken(body: Iterable[bytes], into: Path | None) -> tuple[bytes, int]:
    if into is None:
        data = b"".join(body)
        return data, len(data)
    with storage_errors(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        with into.open("wb") as stream:
            return b"", sum(map(stream.write, body))


def _unpacked(parts: Iterable[bytes], encoding: str, place: Place, caps: Caps) -> Iterator[bytes]:
    """The body, no longer than the cap. We ask for no compression; gzip and deflate that come anyway are counted unpacked."""
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise FetchError(f"{place.host} sent the encoding {encoding[:40]!r}, which was not asked for")
    plain = encoding in ("", "identity")
    opener = zlib.decompressobj(47 if "gzip" in encoding else zlib.MAX_WBITS)
    left = caps.bytes
    for part in parts:
        pending = part
        while pending:
            found, pending = (pending, b"") if plain else (opener.decompress(pending, 1 << 20), opener.unconsumed_tail)
            left -= len(found)
            if left < 0:
                raise _too_large(place, caps)
            yield found
        if opener.eof:  # whatever follows is not read
            return


# ruff: noqa: ARG002 - the signatures below are httpcore's
class _Checked(httpcore.NetworkBackend):
    """The one way to the network: resolves the host once, judges all its addresses, connects to one of exactly these."""

    def __init__(self, place: Place, caps: Caps, allow_private: bool, deadline: float) -> None:
        self._place, self._caps, self._allow_private, self._deadline = place, caps, allow_private, deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = min(self._caps.connect_s, self._deadline - time.monotonic())
        if seconds <= 0:
            raise httpcore.ConnectTimeout("no time is left")
        last: Exception = httpcore.ConnectError("no address")
        for address in resolved(self._place, allow_private=self._allow_private, seconds=seconds):
            try:
                return _Timed(self._connected(address, port, seconds), self._deadline)
            except OSError as error:
                last = error
        raise httpcore.ConnectError(str(last)) from last

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise AddressError("files of this machine are not asked over the web")

    def _connected(self, address: str, port: int, seconds: float) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(seconds)
            made.connect((address, port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            made.close()
            raise
        return made


class _Timed(httpcore.NetworkStream):
    """A connection on which everything together ends at one moment: a byte every few seconds gains nothing."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = connection, deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is over")
        return left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._socket.settimeout(self._left())
        return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(buffer)

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self._socket.settimeout(self._left())
        return _Timed(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return None


@cache
def _tls() -> ssl.SSLContext:
    return httpcore.default_ssl_context()


@contextmanager
def _typed(place: Place) -> Iterator[None]:
    """Every way in which a connection fails as one FetchError; those that may pass are tried again."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise FetchError(
            f"the certificate of {place.host} is not valid: {error.verify_message}", hint="open it in a browser"
        ) from error
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise FetchError(f"{place.host} was too slow", hint="try again later") from error
    except (OSError, httpcore.NetworkError) as error:
        broken = FetchError(f"no connection to {place.host}: {error}", hint="check the network connection")
        raise _AgainError(broken, tries=CONNECTIONS) from error
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, zlib.error) as error:
        raise FetchError(f"{place.host} sent an answer that makes no sense: {error}", hint="try again later") from error


def _status(place: Place, status: int) -> FetchError:
    words = {401: "a login is needed", 403: "it is not given to us", 404: "it is not there", 410: "it is gone"}
    words |= {429: "too many requests", 503: "the server is too busy"}
    why = words.get(status, "the server failed" if status >= 500 else "refused")
    return FetchError(
        f"{place.url[:200]} answered {status}: {why}",
        hint="try again later" if status in _AGAIN or status >= 500 else "open it in a browser to see what is there",
        detail={"status": status},
    )


def _too_large(place: Place, caps: Caps) -> FetchError:
    return FetchError(
        f"{place.url[:200]} is larger than {caps.bytes / 1e6:g} MB", hint="download it yourself and give the file"
    )


def _retry_after(value: str) -> float | None:
    """Seconds of a Retry-After field: a number or an HTTP date (RFC 9110 section 10.2.3)."""
    if value.strip().isdecimal():
        return float(value)
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        then = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
