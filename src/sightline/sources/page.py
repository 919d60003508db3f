"""Which pictures a web page shows, and what it says about their licence and author. Reads HTML; fetches nothing.

Pictures: <img>, srcset (the largest), links to picture files, og:image. Licence: rel=license, links to Creative Commons,
schema.org (JSON-LD). A page states a licence for itself; it is noted with each picture as stated, and not judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from sightline.data.pictures import SUFFIXES
from sightline.sources.addresses import joined
from sightline.sources.wanted import Wanted
from sightline.types import Facts

MOST = 10_000  # pictures of one page
_LINKED = SUFFIXES | {".svg"}
_COMMONS = re.compile(r"^(https?:)?//(www\.)?creativecommons\.org/(licenses|publicdomain)/", re.I)
_WIDTHS = re.compile(r"\s(\d+(?:\.\d+)?)([wx])$")


def pictures(html: str, base: str) -> list[Wanted]:
    """The pictures of a page at the address `base`, each once, in the order in which they stand."""
    page = _Page(base)
    page.feed(html)
    page.close()
    stated = _stated(page)
    found: dict[str, Wanted] = {}
    for url in page.found:
        if len(found) == MOST:
            break
        licence, author = stated.get(url, ("", ""))
        facts = Facts(
            source=url, licence=licence or page.licence or stated[""][0], author=author or page.author or stated[""][1]
        )
        found.setdefault(url, Wanted(url, facts=facts))
    return list(found.values())


class _Page(HTMLParser):
    """Collects addresses of pictures, the page's licence and author, and its JSON-LD blocks."""

    def __init__(self, base: str) -> None:
        super().__init__(convert_charrefs=True)
        self.base, self.licence, self.author = base, "", ""
        self.found: list[str] = []
        self.blocks: list[str] = []
        self._in_block = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = {name: value or "" for name, value in attrs}
        if tag == "base" and fields.get("href"):
            self.base = joined(self.base, fields["href"]) or self.base
        elif tag in ("img", "source"):
            self._add(_largest(fields.get("srcset") or fields.get("data-srcset", "")) or _shown(tag, fields))
        elif tag in ("a", "link", "area"):
            self._link(tag, fields)
        elif tag == "meta":
            self._meta(fields)
        self._in_block = tag == "script" and fields.get("type", "").lower() == "application/ld+json"
        if self._in_block:
            self.blocks.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_block = self._in_block and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_block:
            self.blocks[-1] += data

    def _link(self, tag: str, fields: dict[str, str]) -> None:
        link = fields.get("href", "")
        words = fields.get("rel", "").lower().split()
        if "license" in words or (tag == "a" and _COMMONS.match(link)):
            self.licence = self.licence or joined(self.base, link)
        elif "author" in words and tag == "link":
            self.author = self.author or joined(self.base, link)
        elif tag in ("a", "area") and _ends_like_a_picture(link):
            self._add(link)

    def _meta(self, fields: dict[str, str]) -> None:
        name = (fields.get("property") or fields.get("name") or "").lower()
        if name in ("og:image", "og:image:url", "og:image:secure_url"):
            self._add(fields.get("content", ""))
        elif name == "author":
            self.author = self.author or fields.get("content", "").strip()
        elif name in ("license", "licence", "dcterms.license", "dc.rights"):
            self.licence = self.licence or fields.get("content", "").strip()

    def _add(self, link: str) -> None:
        url = joined(self.base, link).partition("#")[0] if link.strip() else ""
        if url.lower().startswith(("http://", "https://")):
            self.found.append(url)


def _shown(tag: str, fields: dict[str, str]) -> str:
    """The address of an <img>; pages that load pictures late keep it in data-src."""
    return (fields.get("data-src") or fields.get("src", "")) if tag == "img" else ""


def _largest(srcset: str) -> str:
    """The candidate with the greatest width or density of a srcset (HTML standard, section 4.8.4.2)."""
    best, largest = "", -1.0
    for candidate in re.split(r",\s+|\s,", srcset.strip().strip(",")):
        text = candidate.strip()
        size = _WIDTHS.search(text)
        value = float(size[1]) if size else 1.0
        if text and value > largest:
            best, largest = text[: size.start()].strip() if size else text, value
    return best


def _ends_like_a_picture(link: str) -> bool:
    try:
        path = urlsplit(link).path.lower()
    except ValueError:
        return False
    return path.endswith(tuple(_LINKED))


def _stated(page: _Page) -> dict[str, tuple[str, str]]:
    """Picture address -> (licence, author) of the page's schema.org blocks; "" for what is said about the page as a whole."""
    found: dict[str, tuple[str, str]] = {"": ("", "")}
    for block in page.blocks:
        try:
            content = json.loads(block)
        except (ValueError, RecursionError):
            continue
        for thing in _things(content):
            said = (_text(thing.get("license")), _text(thing.get("creator") or thing.get("author") or thing.get("creditText")))
            if not any(said):
                continue
            if "ImageObject" not in str(thing.get("@type")):
                found[""] = (found[""][0] or said[0], found[""][1] or said[1])
                continue
            for key in ("contentUrl", "url", "@id"):
                link = _text(thing.get(key))
                if link:
                    found[joined(page.base, link)] = said
    return found


def _things(content: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every object in a JSON-LD block, at most 20 deep."""
    if depth > 20:
        return
    if isinstance(content, dict):
        yield content
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for one in inner:
        yield from _things(one, depth + 1)


def _text(value: Any) -> str:
    """A string, the name or address of a thing, or the first of several."""
    if isinstance(value, list):
        value = value[0] if value else ""
    if isinstance(value, dict):
        value = value.get("name") or value.get("url") or value.get("@id") or ""
    return value.strip()[:500] if isinstance(value, str) else ""
