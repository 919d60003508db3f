"""Every error on the wire has one shape: {"error": {"code", "message", "hint", "detail", "id"}}; made here and nowhere else.

The id is also in the log line and in the X-Request-ID header. Status and code come from the error's class.
"""

from __future__ import annotations

import json
import logging

from sightline.errors import (
    AccessError,
    ForbiddenError,
    MethodError,
    NotFoundError,
    OverloadError,
    SightlineError,
    StorageError,
    TooLargeError,
    UnavailableError,
    UsageError,
)

log = logging.getLogger("sightline.web")

Headers = list[tuple[bytes, bytes]]

# foreign parts (the routing, the pages) answer with a bare status; what it means here
BY_STATUS: dict[int, type[SightlineError]] = {
    400: UsageError,
    401: AccessError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodError,
    413: TooLargeError,
    429: OverloadError,
    503: UnavailableError,
}


def from_status(status: int, method: str, path: str, allow: bytes = b"") -> SightlineError:
    """The typed error for a bare HTTP status; `allow` are the methods that a 405 names."""
    if status == 404:
        return NotFoundError(f"there is nothing at {shown(path)}", hint="GET /docs lists what is there")
    if status == 405:
        methods = allow.decode("latin-1")
        return MethodError(
            f"{shown(path)} does not take {shown(method)}", hint=f"it takes {methods}", detail={"allow": methods}
        )
    if status >= 500 and status != 503:
        return SightlineError("something went wrong on our side", hint="the log names the cause under this id")
    kind = BY_STATUS.get(status, UsageError)
    return kind(f"the request was refused with status {status}", hint="GET /docs shows what a request looks like")


def from_exception(error: BaseException) -> SightlineError:
    """Ours as it is; anything else is our fault and says nothing about its inside."""
    if isinstance(error, SightlineError):
        return error
    if isinstance(error, OSError) and error.errno == 28:  # ENOSPC
        return StorageError("no space left on the server's disk", hint="free some space and try again")
    return SightlineError("something went wrong on our side", hint="the log names the cause under this id")


def body(error: SightlineError, request_id: str) -> bytes:
    shape = {
        "error": {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "detail": error.detail,
            "id": request_id,
        }
    }
    return json.dumps(shape, default=str).encode()


def headers(error: SightlineError) -> Headers:
    """The headers that belong to the kind of error."""
    found: Headers = []
    if error.status in (429, 503):
        found.append((b"retry-after", str(error.detail.get("retry_after_s", 1)).encode()))
    if error.status == 405:
        found.append((b"allow", str(error.detail.get("allow", "")).encode()))
    if error.status == 401:
        found.append((b"www-authenticate", b"Bearer"))
    return found


def record(error: SightlineError, request_id: str, method: str, path: str, cause: BaseException | None = None) -> None:
    """One log line; never the query, the headers or the body, which may hold keys and pictures."""
    line = "%s %s -> %d %s id=%s"
    values = (shown(method), shown(path), error.status, error.code, request_id)
    if error.status >= 500 and not isinstance(error, UnavailableError):
        log.error(line, *values, exc_info=cause)
    elif error.status in (429, 503):
        log.debug(line, *values)  # under overload the log must not become the load
    else:
        log.info(line, *values)


def shown(text: str, most: int = 200) -> str:
    """Foreign text made fit for a log line or a message: printable, one line, short."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: most + 1])
    return clean if len(clean) <= most else clean[:most] + "..."
