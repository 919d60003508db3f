from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from sightline.errors import OverloadError, SlowRequestError, TooLargeError, UsageError
from sightline.web.intake import ClientGone, Intake, display_name, split_form

BOUNDARY = "multipart/form-data; boundary=x"


def sender(parts: Iterable[bytes], *, gone: bool = False, stuck: bool = False):
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if waiting:
            part = waiting.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(waiting) or gone or stuck}
        if stuck:
            await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    return receive


def read(intake: Intake, receive: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    return asyncio.run(intake.read(receive, headers))


def test_a_body_in_pieces_is_joined():
    assert read(Intake(10), sender([b"ab", b"", b"cd"])) == b"abcd"
    assert read(Intake(10), sender([b""])) == b""


def test_the_limit_holds_for_what_arrives_whatever_the_header_says():
    for headers in ([], [(b"content-length", b"3")], [(b"transfer-encoding", b"chunked")]):
        intake = Intake(10)
        with pytest.raises(TooLargeError):
            read(intake, sender([b"x" * 6] * 10_000), headers)
        assert intake.held == 0


def test_an_announced_large_body_is_refused_unread():
    async def never() -> dict[str, Any]:
        raise AssertionError("read")

    with pytest.raises(TooLargeError):
        read(Intake(10), never, [(b"content-length", b"11")])


def test_ten_thousand_tiny_pieces():
    assert read(Intake(20_000), sender([b"x"] * 10_000)) == b"x" * 10_000


def test_slow_senders_are_let_go():
    intake = Intake(10, grace_s=0.05)
    with pytest.raises(SlowRequestError):
        read(intake, sender([b"x"], stuck=True))
    assert intake.readers == intake.held == 0


def test_a_client_that_goes_away_is_not_answered():
    with pytest.raises(ClientGone):
        read(Intake(10), sender([b"x"], gone=True))


def test_bodies_read_together_have_a_common_limit():
    intake = Intake(100, most_held=8)
    intake.held = 5
    with pytest.raises(OverloadError):
        read(intake, sender([b"xxxx"]))
    assert intake.held == 5


def test_compressed_bodies_are_refused():
    with pytest.raises(UsageError):
        read(Intake(10), sender([b"x"]), [(b"content-encoding", b"gzip")])


def form(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(b"--x\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + b"--x--\r\n"


def test_a_form_of_pictures():
    body = form(
        ('Content-Disposition: form-data; name="file"; filename="a.jpg"', b"\xff\xd8\r\n--y"),
        ('Content-Disposition: form-data; name="imageData"', b"raw"),
        ('Content-Disposition: form-data; name="z"\r\nContent-Type: image/png', b"png"),
    )
    found = [(upload.name, upload.data) for upload in split_form(body, BOUNDARY)]
    assert found == [("a.jpg", b"\xff\xd8\r\n--y"), ("imageData", b"raw"), ("z", b"png")]


def test_wrong_forms_are_named():
    with pytest.raises(UsageError) as caught:
        split_form(form(('Content-Disposition: form-data; name="imag"', b"x")), BOUNDARY)
    assert caught.value.hint == "did you mean image?"
    whole = form(('Content-Disposition: form-data; name="file"', b"x"))
    for body, kind in ((whole, "multipart/form-data"), (whole[:-9], BOUNDARY), (b"", BOUNDARY), (b"junk" * 100, BOUNDARY)):
        with pytest.raises(UsageError):
            split_form(body, kind)


def test_ten_thousand_parts_and_huge_part_headers_are_refused():
    with pytest.raises(UsageError):
        split_form(form(*[('Content-Disposition: form-data; name="file"', b"")] * 10_000), BOUNDARY)
    with pytest.raises(UsageError):
        split_form(form(("X: " + "y" * 1_000_000, b"")), BOUNDARY)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\a\\b.png", "b.png"),
        ("a\nb\x1b[31m.jpg", "a?b?[31m.jpg"),
        ("x" * 300, "x" * 200 + "..."),
    ],
)
def test_names_are_for_showing_only(given: str, shown: str):
    assert display_name(given) == shown
