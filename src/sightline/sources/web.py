"""One web address: the pictures that a page shows, a single picture, an archive, a table or a list of addresses.

What lies there is judged by the bytes that came; a page is not followed to other pages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from sightline.data import archives
from sightline.errors import DatasetError, SightlineError
from sightline.runtime.headers import looks_like, sniff
from sightline.sources import TABLES, About, Arrival, Options
from sightline.sources.addresses import port_of
from sightline.sources.drawings import kind_of_drawing
from sightline.sources.fetch import Access, Caps, Fetched, fetch
from sightline.sources.lists import addresses_in, fetched
from sightline.sources.manners import Manners
from sightline.sources.wanted import name_of
from sightline.types import Facts, Failure

WHOLE = Caps(bytes=20 << 30, total_s=3600.0)  # an archive of a whole dataset
PAGE = 20 << 20  # bytes of HTML that are read


def arrivals(source: str, options: Options) -> Iterator[Arrival | Failure]:
    """What lies at a web address. AddressError and FetchError for the address itself; for pictures of a page as Failures."""
    access = Access(options.allow_private, port_of(source))
    manners = Manners(options.rate, access)
    file = options.workspace / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}-{name_of(source)}"
    answer = fetch(source, WHOLE, access, watch=manners, into=file)
    with file.open("rb") as stream:
        head = stream.read(1 << 16)
    if _is_picture(head):
        options.about(About(total=1))
        yield Arrival(name=name_of(answer.url), data=file.read_bytes(), facts=Facts(source=source), address=source)
    elif _is_page(head, answer):
        yield from _of_page(file, answer, options, access, manners)
    elif archives.kind_of(file) is not None:
        from sightline.sources.places import laid_out

        yield from laid_out(file, options, facts=Facts(source=source), name=Path(name_of(answer.url)))
    elif Path(name_of(answer.url)).suffix.lower() in TABLES:
        from sightline.sources.tables import rows_of

        yield from rows_of(file, options, lambda wanted: fetched(wanted, options, access, manners), base=answer.url)
    elif head.lstrip(b"\xef\xbb\xbf").lower().startswith((b"http://", b"https://", b"#")):
        yield from fetched(addresses_in(file.read_bytes(), source), options, access, manners)
    else:
        raise DatasetError(
            f"{source[:200]} is no picture, page, archive, table or list of addresses: it looks like {looks_like(head)}",
            hint="give the address of a page with pictures, or of an archive",
        )


def _is_picture(head: bytes) -> bool:
    if kind_of_drawing(head):
        return True
    try:
        sniff(head)
    except SightlineError:
        return False
    return True


def _is_page(head: bytes, answer: Fetched) -> bool:
    return answer.kind in ("text/html", "application/xhtml+xml") or looks_like(head).startswith("a web page")


def _of_page(file: Path, answer: Fetched, options: Options, access: Access, manners: Manners) -> Iterator[Arrival | Failure]:
    from sightline.sources.page import pictures

    if answer.size > PAGE:
        raise DatasetError(f"the page has {answer.size / 1e6:.0f} MB; no more than {PAGE / 1e6:.0f} are read")
    wanted = pictures(_text(file.read_bytes(), answer.charset), answer.url)
    if not wanted:
        raise DatasetError(
            f"the page {answer.url[:200]} shows no pictures",
            hint="pictures that a script adds later are not seen: give their addresses in a text file, one on each line",
        )
    options.about(About(total=len(wanted)))
    yield from fetched(wanted, options, access, manners)


def _text(data: bytes, charset: str) -> str:
    """HTML as text: in the encoding that the answer or the page names, else UTF-8; wrong bytes are replaced."""
    import re

    named = re.search(rb"<meta[^>]{0,200}charset=[\"']?([\w-]+)", data[:4096], re.I)
    for name in (charset, named[1].decode("ascii") if named else "", "utf-8"):
        try:
            return data.decode(name, errors="replace")
        except LookupError:
            continue
    return data.decode("utf-8", errors="replace")
