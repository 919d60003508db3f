from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import AccessError, ForbiddenError, UsageError
from sightline.web.gate import COOKIE, Gate, is_loopback, open_gate
from sightline.web.keys import KeyStore


def headers(**values: str) -> list[tuple[bytes, bytes]]:
    given = {"host": "127.0.0.1:8000", **values}
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_own_host_names_come_in(host: str):
    assert Gate("127.0.0.1").admit("GET", "/", headers(host=host)) is None


@pytest.mark.parametrize(
    "host", ["evil.com", "127.0.0.1.evil.com", "localhost.evil.com:8000", "", "0.0.0.0", "[::1", "127.0.0.1@evil.com"]
)
def test_rebound_host_names_stay_out(host: str):
    with pytest.raises(ForbiddenError):
        Gate("127.0.0.1").admit("GET", "/v1/models", headers(host=host))


@pytest.mark.parametrize("origin", ["http://evil.com", "null", "http://127.0.0.1:9000", "http://127.0.0.1.evil.com:8000", ""])
def test_foreign_origins_may_not_change_anything_nor_open_sockets(origin: str):
    gate = Gate("127.0.0.1")
    for method in ("POST", "DELETE", "PUT", "PATCH"):
        with pytest.raises(ForbiddenError):
            gate.admit(method, "/v1/predict", headers(origin=origin))
    with pytest.raises(ForbiddenError):
        gate.admit("GET", "/_nicegui_ws/socket.io/", headers(origin=origin), socket=True)


def test_own_origin_and_no_origin_come_in():
    gate = Gate("127.0.0.1")
    gate.admit("POST", "/v1/predict", headers(origin="http://127.0.0.1:8000"))
    gate.admit("POST", "/v1/predict", headers())
    with pytest.raises(ForbiddenError):
        gate.admit("POST", "/v1/predict", headers(sec_fetch_site="cross-site"))


def test_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.1.4", "::", "example.org", "")))


def test_the_network_needs_a_key_before_the_server_starts(tmp_path: Path):
    store = KeyStore(tmp_path / "keys.json")
    assert open_gate("127.0.0.1", (), store).store is None
    for host, names in (("0.0.0.0", ()), ("127.0.0.1", ("example.org",))):
        with pytest.raises(UsageError) as caught:
            open_gate(host, names, store)
        assert "sightline keys --new" in caught.value.hint
        assert open_gate(host, names, store_with_key(tmp_path)).store is not None
        store = KeyStore(tmp_path / "empty.json")


def store_with_key(folder: Path) -> KeyStore:
    store = KeyStore(folder / "full.json")
    store.new("a")
    return store


def test_a_key_opens_by_header_or_cookie(tmp_path: Path):
    store = KeyStore(tmp_path / "keys.json")
    secret = store.new("a")
    gate = Gate("0.0.0.0", (), store)
    for given in ({"authorization": f"Bearer {secret}"}, {"x_api_key": secret}, {"cookie": f"x=1; {COOKIE}={secret}"}):
        key = gate.admit("GET", "/v1/models", headers(host="any.example", **given))
        assert key is not None
        assert key.name == "a"
    for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {secret}"}, {"cookie": "a;;=;"}):
        with pytest.raises(AccessError):
            gate.admit("GET", "/v1/models", headers(**wrong))
    assert gate.admit("GET", "/health/live", headers()) is None
