"""POST /v1/predict as plain ASGI: bytes in, JSON out, nothing in between. One raw picture, or several as a form.

A refusal comes before the body is read whenever it can. FastAPI documents this route (`api.py`) but does not run it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from urllib.parse import parse_qsl

from sightline.errors import UsageError
from sightline.web.faults import shown
from sightline.web.intake import Receive, Upload, display_name, split_form
from sightline.web.service import Service

PATH = "/v1/predict"
_RAW = (b"image/", b"application/octet-stream", b"application/x-www-form-urlencoded", b"binary/")


async def predict(service: Service, query: bytes, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bytes:
    """The JSON answer for one request; raises the typed errors and ClientGone."""
    values = read_query(query, ("top", "model", "name", "threshold"))
    served = service.model(values.get("model"))
    if "threshold" in values:
        served = served.at(_threshold(values["threshold"]))
    top = _top(values.get("top"))
    service.admission.check()
    kind = content_type(headers)
    body = await service.intake.read(receive, headers)
    with service.admission.enter():
        return await service.answer(uploads(kind, body, values.get("name", "")), served, top)


def uploads(kind: bytes, body: bytes, name: str) -> list[Upload]:
    """The pictures of a body of content type `kind`; raises UsageError."""
    if kind.lower().startswith(b"multipart/form-data"):
        found = split_form(body, kind.decode("latin-1"))
        if not found:
            raise UsageError("the form holds no picture", hint="send it with `curl -F file=@picture.jpg`")
        return found
    # curl --data-binary says x-www-form-urlencoded: the bytes decide, not the header
    if kind and not kind.lower().startswith(_RAW):
        raise UsageError(
            f"a picture cannot be read from {shown(kind.decode('latin-1'), 60)!r}",
            hint="send the file's bytes as image/* or application/octet-stream, or a multipart form",
        )
    return [Upload(display_name(name), body)]


def content_type(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    for key, value in headers:
        if key == b"content-type":
            return value.strip()
    return b""


def read_query(query: bytes, known: tuple[str, ...]) -> dict[str, str]:
    """The query's values; raises UsageError for an unknown key, naming the nearest."""
    if not query:
        return {}
    values = {}
    for key, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=20, errors="replace"):
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"unknown query key {shown(key, 60)!r}", hint=hint)
        values[key] = value
    return values


def _threshold(text: str) -> float:
    try:
        return float(text[:20])
    except ValueError:
        raise UsageError(f"threshold must be a score from 0 to 1, got {shown(text, 40)!r}") from None


def _top(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1_000_000):
        raise UsageError(f"top must be a whole number of at least 1, got {shown(text, 40)!r}")
    return int(text[:9])
