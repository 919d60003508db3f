"""collect --page: people photograph what is wanted with their phones. Opens the door; behind it is `collecting.py`."""

from __future__ import annotations

import logging
import socket
import sys

from sightline.errors import UsageError, missing_extra
from sightline.settings import settings
from sightline.verbs.collect import Collected
from sightline.verbs.invitation import read_wanted, terms

log = logging.getLogger("sightline.web")

GUESTS = "collect"  # what the key in the address for phones opens (gate.ONLY)


def collect_page(
    *,
    into: str,
    wanted: str = "",
    licence: str = "",
    consent: str = "",
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_host: list[str] | None = None,
    max_body_mb: float = 25,
    grace_s: float = 20,
) -> Collected:
    """Collect by phone until Ctrl-C or SIGTERM, then make a version of what came; returns that version.

    Args:
        into: A name in the workspace.
        wanted: With --page: the classes and how many pictures of each, e.g. cat:50,dog:50.
        licence: With --page: the licence that people give their pictures under, e.g. CC0-1.0 or CC-BY-4.0.
        consent: With --page: the text that people agree to; a plain one of ours by default.
        host: With --page: the address to listen on; 0.0.0.0 lets phones in and asks for an API key.
        port: With --page: the port to listen on; 0 takes a free one.
        allow_host: With --page: a further host name to answer to, as behind a proxy.
        max_body_mb: With --page: the largest picture, in megabytes.
        grace_s: With --page: how long requests may take to finish when the server stops, in seconds.
    """
    asked, agreed = read_wanted(wanted), terms(consent, licence)
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port must be 0 to 65535, got {port}")
    if not 0 < max_body_mb <= 2000:
        raise UsageError(f"--max-body-mb must be above 0 and at most 2000, got {max_body_mb}")
    if not grace_s >= 0:
        raise UsageError(f"--grace-s must be 0 or more, got {grace_s}")
    try:
        from sightline.store.blobs import blobs
        from sightline.store.database import database
        from sightline.verbs.contributions import Contributions
        from sightline.web import server
        from sightline.web.collecting import create_collecting
        from sightline.web.front import Front
        from sightline.web.gate import open_gate
        from sightline.web.keys import KeyStore
        from sightline.web.serve import show_log
        from sightline.web.service import Service
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "sightline":
            raise
        raise missing_extra("studio", "a page to collect by phone") from error

    show_log()
    store = KeyStore(settings().home / "keys.json")
    gate = open_gate(host, allow_host or (), store)
    collection = Contributions(database(), blobs(), into, asked, agreed)
    listener = server.bind(host, port)
    guests = f"phones for {into}"[:100]
    try:
        earlier = collection.open()
        if earlier is not None:
            log.info("%d pictures of an earlier page are in version %s now", earlier.added, earlier.dataset[:12])
        service = Service([], settings().threads, max_body=round(max_body_mb * 1e6))
        front = Front(create_collecting(service, gate, collection), service, gate, max_body=round(max_body_mb * 1e6))
        place = f"https://{allow_host[0]}" if allow_host else _place(host, listener.getsockname()[1])
        log.info("collecting into %s; the owner's page is %s/collect/owner (stop with Ctrl-C)", into, place)
        _invite(f"{place}/collect" + (f"#key={store.new(guests, GUESTS)}" if gate.store is not None else ""))
        server.run(front, listener, grace=grace_s)
        if gate.store is not None:
            store.forget(guests, GUESTS)
    finally:
        listener.close()
    return collection.version()


def _place(host: str, port: int) -> str:
    """The address that others reach this server at."""
    if host in ("0.0.0.0", "::"):
        host = _own_address(host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _own_address(host: str) -> str:
    """This machine's address on its network, as the system would choose it; nothing is sent."""
    family, far = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()


def _invite(address: str) -> None:
    """The address for phones, on a terminal also as a code for their cameras. Not through the log: it may hold a key."""
    sys.stderr.write(f"phones open {address}\n")
    if sys.stderr.isatty():
        from sightline.web.qr import drawn, encoded

        squares = encoded(address)
        if squares is not None:
            sys.stderr.write(drawn(squares))
    sys.stderr.flush()
