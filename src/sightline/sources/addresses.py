"""Which addresses of the network may be asked: names are resolved here, once, and every address they lead to is judged.

The ranges are IANA's special-purpose registries (RFC 6890 and its successors). Opens no connection.
"""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from sightline.errors import AddressError, FetchError

PORTS = {"http": 80, "https": 443}
PRIVATE_HINT = "to collect from your own network, say --allow-private"

# allowed with --allow-private: networks of one's own
_OWN = {
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "this machine",
    "172.16.0.0/12": "private",
    "192.168.0.0/16": "private",
    "::1/128": "this machine",
    "fc00::/7": "private (ULA)",
}
# never asked: they are no place of pictures, and 169.254.169.254 hands out a cloud machine's keys
_NEVER = {
    "0.0.0.0/8": "no address (0.0.0.0/8)",
    "169.254.0.0/16": "link-local",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "reserved for documentation",
    "192.88.99.0/24": "a 6to4 relay",
    "198.18.0.0/15": "reserved for benchmarks",
    "198.51.100.0/24": "reserved for documentation",
    "203.0.113.0/24": "reserved for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/96": "an IPv4-compatible address",
    "64:ff9b:1::/48": "local translation (NAT64)",
    "100::/64": "a discard address",
    "2001::/32": "a Teredo tunnel",
    "2001::/23": "reserved",
    "2001:db8::/32": "reserved for documentation",
    "2002::/16": "a 6to4 tunnel",
    "3fff::/20": "reserved for documentation",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
_RANGES = [(ip_network(text), why, own) for table, own in ((_OWN, True), (_NEVER, False)) for text, why in table.items()]
_EMBEDDED = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))  # the last 32 bits are the IPv4 address that is meant
_UNICAST = ip_network("2000::/3")  # the only IPv6 range of public addresses there is
_NUMERIC = re.compile(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+)){0,3}\.?", re.I)  # what inet_aton may take for an address
_PLAIN = re.compile(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}")


@dataclass(frozen=True, slots=True)
class Place:
    """A web address taken apart: everything that a connection and a request need. `host` is lower-case ASCII."""

    url: str
    scheme: str
    host: str
    port: int
    target: str  # path and query

    @property
    def origin(self) -> tuple[str, int]:
        return self.host, self.port


def refusal(address: str, *, allow_private: bool = False) -> str | None:
    """Why the IP address must not be asked, in a few words; None when it may."""
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and any(found in network for network in _EMBEDDED):
        found = IPv4Address(int(found) & 0xFFFFFFFF)
    for network, why, own in _RANGES:
        if found in network:
            return None if own and allow_private else why
    if isinstance(found, IPv6Address) and found not in _UNICAST:
        return "reserved"
    return None if found.is_global else "reserved"


def placed(url: str, ports: frozenset[tuple[str, int]] = frozenset(), *, any_port: bool = False) -> Place:
    """`url` taken apart and judged by its spelling. `ports`: (host, port) pairs besides 80 and 443 that a person named.

    Raises AddressError: another scheme, a user and password, a strange spelling of an address, another port.
    """
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError as error:
        raise AddressError(f"no web address: {url[:200]!r} ({error})", hint="expected https://host/path") from error
    if scheme not in PORTS:
        raise AddressError(f"only http and https are fetched, got {url[:200]!r}", hint="expected https://host/path")
    if parts.username is not None or parts.password is not None:
        raise AddressError(f"the address for {host} holds a user or password", hint="leave out the part before the @")
    host = _plain_host(host.rstrip("."), url)
    number = port or PORTS[scheme]
    if not (any_port or number in PORTS.values() or (host, number) in ports):
        raise AddressError(
            f"{host}:{number} is not a port of the web (80, 443)", hint="give the address itself as SOURCE to allow its port"
        )
    target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return Place(_clean(parts, scheme, host, port), scheme, host, number, _escaped(target))


def joined(base: str, link: str) -> str:
    """The absolute address of a link on the page `base`; "" when it is none."""
    try:
        return urljoin(base, link.strip())
    except ValueError:
        return ""


def port_of(url: str) -> frozenset[tuple[str, int]]:
    """The (host, port) that a person named by typing `url`; empty when it names none."""
    place = placed(url, any_port=True)
    return frozenset({place.origin})


def resolved(place: Place, *, allow_private: bool = False, seconds: float = 10.0) -> list[str]:
    """The IP addresses of the host, asked for once. AddressError when any of them must not be asked, FetchError for none."""
    answers = _looked_up(place.host, place.port, seconds)
    for address in answers:
        why = refusal(address, allow_private=allow_private)
        if why:
            raise AddressError(
                f"{place.host} is not fetched: {why}"
                if address == place.host
                else f"{place.host} leads to {address}, which is not fetched: {why}",
                hint="" if allow_private else PRIVATE_HINT,
                detail={"host": place.host, "address": address},
            )
    return answers


def _looked_up(host: str, port: int, seconds: float) -> list[str]:
    """getaddrinfo with a deadline: it has none of its own, so it is asked in a thread that is left behind when it hangs."""
    found: list[str] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    asking = threading.Thread(target=ask, daemon=True, name="name lookup")
    asking.start()
    asking.join(seconds)
    if asking.is_alive():
        raise FetchError(f"the name {host} was not resolved in {seconds:g} s", hint="check the network connection")
    if failed or not found:
        raise FetchError(f"there is no host {host}", hint="check the spelling and the network connection")
    return found


def _plain_host(host: str, url: str) -> str:
    """The host in lower-case ASCII; numbers are taken only in the one spelling that everybody reads the same."""
    if ":" in host:
        try:
            return str(ip_address(host.partition("%")[0]))
        except ValueError as error:
            raise AddressError(f"no web address: {url[:200]!r}", hint="expected https://host/path") from error
    if _NUMERIC.fullmatch(host) and not _PLAIN.fullmatch(host):
        raise AddressError(f"{host!r} is an odd spelling of an IP address", hint="write it as four numbers: 192.0.2.1")
    try:
        plain = host.encode("idna").decode("ascii").lower() if not host.isascii() else host.lower()
    except UnicodeError as error:
        raise AddressError(f"no host name: {host[:100]!r}", hint="check the spelling") from error
    odd = _NUMERIC.fullmatch(plain) and not _PLAIN.fullmatch(plain)
    if odd or not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?", plain):
        raise AddressError(f"no host name: {host[:100]!r}", hint="check the spelling")
    return plain


def _clean(parts: SplitResult, scheme: str, host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    spot = f"{name}:{port}" if port and port != PORTS[scheme] else name
    return urlunsplit((scheme, spot, parts.path or "/", parts.query, ""))


def _escaped(target: str) -> str:
    """Blanks, line ends and letters outside ASCII as %XX: nothing in an address may start a header of its own."""
    from urllib.parse import quote

    return quote(target, safe="/?:@!$&'()*+,;=%-._~[]|")
