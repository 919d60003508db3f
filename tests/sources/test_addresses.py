"""Which addresses may be asked: the table of special ranges, spellings, schemes, ports."""

from __future__ import annotations

import pytest

from sightline.errors import AddressError, FetchError
from sightline.sources.addresses import placed, port_of, refusal, resolved

OWN = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
]
OWN += [
    "::1",
    "fc00::1",
    "fdff::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
]
NEVER = ["0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1"]
NEVER += ["203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"]
NEVER += [
    "::",
    "::127.0.0.1",
    "::7f00:1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
]
NEVER += [
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "64:ff9b:1::1",
    "100::1",
    "4000::1",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
]
PUBLIC = ["8.8.8.8", "93.184.215.14", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2606:4700::1111"]
PUBLIC += ["2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "11.0.0.1", "169.253.0.1", "223.255.255.255"]


@pytest.mark.parametrize("address", OWN + NEVER)
def test_refused(address: str):
    assert refusal(address)


@pytest.mark.parametrize("address", OWN)
def test_own_networks_with_leave(address: str):
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_never_even_with_leave(address: str):
    assert refusal(address, allow_private=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str):
    assert refusal(address) is None


@pytest.mark.parametrize(
    "url",
    [
        *(
            f"http://{host}/"
            for host in ("127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0x7f.1", "127.0.0.01", "1", "127.0.1")
        ),
        *(
            f"http://{host}/"
            for host in ("0x7f.0.0.1", "017700000001", "127.0.0.1.1", "256.0.0.1.", "%31%32%37.0.0.1", "１２７.1")
        ),
        "http://user@host.example/",
        "http://user:pass@host.example/",
        "http://8.8.8.8@127.0.0.1/",
        "ftp://host.example/a.jpg",
        "file:///etc/passwd",
        "gopher://host.example/",
        "data:image/png;base64,AA==",
        "//host.example/a.jpg",
        "a.jpg",
        "",
        "http://",
        "http:///a.jpg",
        "http://host.example:22/",
        "http://host.example:8080/",
        "http://host.example:99999/",
        "http://[::1",
        "http://[zz]/",
        "http://ho st/",
        "http://-bad.example/",
        "http://bad\r\nHost: x/",
        "http://" + "a" * 300 + "/",
    ],
)
def test_spellings_that_are_refused(url: str):
    with pytest.raises((AddressError, FetchError)) as caught:
        resolved(placed(url))
    assert caught.value.hint


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "LOCALHOST", "localhost."]
)
def test_this_machine_is_refused_and_allowed_with_leave(host: str):
    place = placed(f"http://{host}/")
    with pytest.raises(AddressError, match="this machine") as caught:
        resolved(place)
    assert "--allow-private" in caught.value.hint
    assert resolved(place, allow_private=True)


def test_metadata_of_a_cloud_is_refused_with_leave_too():
    with pytest.raises(AddressError, match="link-local"):
        resolved(placed("http://169.254.169.254/latest/meta-data"), allow_private=True)


def test_port_that_a_person_named():
    url = "http://host.example:8080/a"
    assert placed(url, port_of(url)).port == 8080
    with pytest.raises(AddressError, match="not a port of the web"):
        placed("http://other.example:8080/a", port_of(url))


def test_parts():
    place = placed("HTTPS://Bücher.Example/a b/ü.jpg?x=1 2#top")
    assert (place.scheme, place.host, place.port) == ("https", "xn--bcher-kva.example", 443)
    assert place.target == "/a%20b/%C3%BC.jpg?x=1%202"
    assert placed("http://host.example?q").target == "/?q"
    assert placed("http://[2606:4700::1111]:80/").host == "2606:4700::1111"


def test_no_such_host():
    with pytest.raises(FetchError, match="no host"):
        resolved(placed("http://nothing.invalid/"))
