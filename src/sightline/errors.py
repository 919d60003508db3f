"""Every error that Sightline raises on purpose: one tree, drawn below; nothing here knows where an error is shown.

SightlineError                 code, hint, HTTP status and exit code are attributes of the class
├── UsageError                 the request itself is wrong (unknown option, impossible value)
│   └── MethodError            an HTTP method that the address does not know
├── NotFoundError              a picture, dataset or model that is not there
│   └── ModelNotFoundError
├── DataError                  the data cannot be used as they are
│   ├── DatasetError           the folder, table or archive as a whole
│   ├── ArchiveError           an archive that is unsafe, too big or broken
│   ├── FetchError             a picture or page that could not be fetched
│   │   └── AddressError       an address that must not be asked: inside this machine or its network
│   ├── PictureError           one picture; the subclasses say why
│   │   ├── PictureFormatError
│   │   ├── PictureTooLargeError
│   │   └── PictureTimeoutError
│   ├── BundleError            a model bundle that is corrupt or of another version
│   └── TargetError            a form that a model cannot be exported to: the target lacks an operator, or room
├── ParityError                an export that answers differently from the trained model
├── ConflictError              it is no longer, or already, in the state that was asked for
├── MissingExtraError          an optional part that is not installed
├── StorageError               disk full, no permission
├── AccessError                no key, or a wrong one
│   └── ForbiddenError         not from this place: a foreign origin, an unknown host name, a path outside the root
├── TooLargeError              a request body above the limit
├── SlowRequestError           a request body that arrives too slowly
├── OverloadError              the queue is full: come back later
├── UnavailableError           stopping, or not ready yet
└── StoppedError               stopped by the user; what is done is kept

Errors are raised where they are noticed and caught in three places only: the command line, the web door, the worker.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class SightlineError(Exception):
    """Base of the tree. `message` says what is wrong, `hint` the next step, `detail` holds machine-readable facts."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", detail: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail or {}

    def __reduce__(self) -> tuple[object, ...]:  # errors cross the decoder's process boundary
        return (_rebuild, (type(self), self.message, self.hint, self.detail))


def _rebuild(kind: type[SightlineError], message: str, hint: str, detail: dict[str, object]) -> SightlineError:
    return kind(message, hint=hint, detail=detail)


class UsageError(SightlineError):
    code, status, exit_code = "usage", 400, 2


class MethodError(UsageError):
    code, status = "method_not_allowed", 405


class NotFoundError(SightlineError):
    code, status, exit_code = "not_found", 404, 3


class ModelNotFoundError(NotFoundError):
    code = "model_not_found"


class DataError(SightlineError):
    code, status, exit_code = "data_invalid", 422, 4


class DatasetError(DataError):
    code = "dataset_invalid"


class ArchiveError(DataError):
    code = "archive_refused"


class FetchError(DataError):
    code = "fetch_failed"


class AddressError(FetchError):
    code, status = "address_refused", 403


class PictureError(DataError):
    code = "picture_unreadable"


class PictureFormatError(PictureError):
    code, status = "picture_format", 415


class PictureTooLargeError(PictureError):
    code, status = "picture_too_large", 413


class PictureTimeoutError(PictureError):
    code = "picture_timeout"


class BundleError(DataError):
    code = "model_invalid"


class TargetError(DataError):
    code = "target_refused"


class ParityError(DataError):
    code = "parity_refused"


class ConflictError(SightlineError):
    code, status, exit_code = "conflict", 409, 4


class MissingExtraError(SightlineError):
    code, status, exit_code = "extra_missing", 501, 4


class StorageError(SightlineError):
    code, status, exit_code = "storage", 507, 1


class AccessError(SightlineError):
    code, status, exit_code = "access_denied", 401, 4


class ForbiddenError(AccessError):
    code, status = "forbidden", 403


class TooLargeError(SightlineError):
    code, status, exit_code = "body_too_large", 413, 4


class SlowRequestError(SightlineError):
    code, status, exit_code = "request_timeout", 408, 1


class OverloadError(SightlineError):
    code, status, exit_code = "overloaded", 429, 1


class UnavailableError(SightlineError):
    code, status, exit_code = "unavailable", 503, 1


class StoppedError(SightlineError):
    """Stopped by Ctrl-C; the message says what was kept and how to go on."""

    code, status, exit_code = "interrupted", 503, 130


def missing_extra(extra: str, needs: str) -> MissingExtraError:
    """The one wording for a part that is not installed, e.g. `missing_extra("deep", "training a network")`."""
    return MissingExtraError(
        f"{needs} needs the extra '{extra}', which is not installed", hint=f"pip install 'sightline[{extra}]'"
    )


@contextmanager
def storage_errors(path: object) -> Iterator[None]:
    """Turn a full disk or a missing permission while writing `path` into one StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageError(f"no space left while writing {path}", hint="free some disk space and run again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(f"not allowed to write {path}", hint="choose another place with --out") from error
        raise
