"""Who may come in: host names, origins and keys; and the headers that keep a browser on our side.

Against a web page that aims at a server on the visitor's own machine: the Host allowlist stops DNS rebinding, the Origin check
stops foreign forms and sockets. On the network a key is asked for. Never logs a key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from sightline.errors import AccessError, ForbiddenError, UsageError
from sightline.web.faults import shown
from sightline.web.keys import Key, KeyStore

COOKIE = "sightline_key"
OPEN = ("/health/live", "/health/ready", "/login", "/favicon.ico", "/v1/session")  # no key needed
OPEN_UNDER = ("/static/",)
# what keys that open one thing only reach; a path that ends in / means what lies below it
ONLY = {"collect": ("/", "/collect", "/v1/collect", "/v1/collect/")}
KEY = "sightline.key"  # where in the scope the key stands that a request was let in with
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_COMMON = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
DATA_HEADERS = [*_COMMON, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]


def page_headers(nonce: str, *, evaluates: bool) -> list[tuple[bytes, bytes]]:
    """The headers of a page whose script tags carry `nonce`; `evaluates`: its templates are compiled in the browser (Vue)."""
    scripts = f"'self' 'nonce-{nonce}'" + (" 'unsafe-eval'" if evaluates else "")
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
        "font-src 'self' data:; connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; manifest-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return [
        *_COMMON,
        (b"content-security-policy", policy.encode()),
        (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
        (b"cross-origin-opener-policy", b"same-origin"),
    ]


class Gate:
    """Decides from the headers alone; one for each server."""

    def __init__(self, host: str, allow_hosts: Iterable[str] = (), store: KeyStore | None = None) -> None:
        self.host = host
        self.hosts = {"localhost", "127.0.0.1", "::1", host.lower(), *(name.lower() for name in allow_hosts)}
        self.checks_host = is_loopback(host)
        self.store = store  # None: no key is asked for

    def admit(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], *, socket: bool = False) -> Key | None:
        """Raise ForbiddenError or AccessError, or return the key that was shown (None where none is needed)."""
        host, origin, site, authorization, api_key, cookie = b"", None, b"", b"", b"", b""
        for name, value in headers:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"authorization":
                authorization = value
            elif name == b"x-api-key":
                api_key = value
            elif name == b"cookie":
                cookie = value
        if self.checks_host:
            self._check_host(host)
        if method not in SAFE or socket:
            self._check_origin(host, origin, site)
        if self.store is None or path in OPEN or path.startswith(OPEN_UNDER):
            return None
        return self._checked_key(_shown_key(authorization, api_key, cookie), self.store, path)

    def _checked_key(self, text: str | None, store: KeyStore, path: str) -> Key:
        if text is None:
            raise AccessError("this server asks for a key", hint="send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        key = store.check(text)
        if key is None:
            raise AccessError("the key is not valid here", hint="make one on the server: `sightline keys --new NAME`")
        if key.only and not _reaches(key.only, path):
            raise ForbiddenError(f"this key opens nothing but {key.only}", hint="ask whoever runs this server for another key")
        return key

    def _check_host(self, host: bytes) -> None:
        name = _host_name(host)
        if name not in self.hosts:
            raise ForbiddenError(
                f"this server does not answer to the host name {shown(name, 80)!r}",
                hint="start it with --allow-host NAME to serve it under that name",
            )

    def _check_origin(self, host: bytes, origin: bytes | None, site: bytes) -> None:
        foreign = site in (b"cross-site", b"same-site")
        if origin is not None:
            parts = urlsplit(origin.decode("latin-1"))
            foreign = parts.netloc.lower() != host.decode("latin-1").lower() and not _same_default_port(parts.netloc, host)
        if foreign:
            raise ForbiddenError(
                "requests from other web sites are refused", hint="open the server's own page, or use an API key"
            )


def _reaches(only: str, path: str) -> bool:
    return any(path == place or (len(place) > 1 and place.endswith("/") and path.startswith(place)) for place in ONLY[only])


def _same_default_port(netloc: str, host: bytes) -> bool:
    def plain(text: str) -> str:
        return text.lower().removesuffix(":80").removesuffix(":443")

    return plain(netloc) == plain(host.decode("latin-1")) and bool(netloc)


def _host_name(host: bytes) -> str:
    try:
        return (urlsplit(f"//{host.decode('latin-1')}").hostname or "").lower()
    except ValueError:
        return ""


def _shown_key(authorization: bytes, api_key: bytes, cookie: bytes) -> str | None:
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() == b"bearer" and value:
        return value.strip().decode("latin-1")
    if api_key:
        return api_key.strip().decode("latin-1")
    if cookie:
        try:
            found = SimpleCookie(cookie.decode("latin-1")).get(COOKIE)
        except CookieError:
            return None
        return found.value if found else None
    return None


def is_loopback(host: str) -> bool:
    """Can only this machine reach a server bound to `host`?"""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_gate(host: str, allow_hosts: Iterable[str], store: KeyStore) -> Gate:
    """The gate for a server bound to `host`; raises UsageError when others can reach it and there is no key.

    A loopback server with a name of its own (--allow-host) is one behind a proxy: others can reach it too.
    """
    allow_hosts = tuple(allow_hosts)
    if is_loopback(host) and not allow_hosts:
        return Gate(host)
    if not store.any():
        reach = f"--host {host}" if not is_loopback(host) else f"--allow-host {allow_hosts[0]}"
        raise UsageError(
            f"{reach} lets others reach this server, and there is no API key yet",
            hint="make one first with `sightline keys --new NAME`, then start the server again",
        )
    return Gate(host, allow_hosts, store)
