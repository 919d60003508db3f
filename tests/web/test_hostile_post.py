"""Hundreds of malformed pictures through POST, from four callers at once: never a 5xx, and the server goes on."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
from PIL import Image

from hostile import File, hostile_files
from pictures import COLOURS, encoded

REFUSALS = {"picture_unreadable", "picture_format", "picture_too_large", "picture_timeout"}


def post(url: str, files: list[File]) -> Counter[int]:
    found: Counter[int] = Counter()

    def one(file: File) -> None:
        name, data = file
        answer = client.post("/v1/predict", params={"name": name}, content=data)
        found[answer.status_code] += 1
        body = answer.json()
        assert ("results" in body) == (answer.status_code == 200), name
        if answer.status_code != 200:
            assert body["error"]["code"] in {"picture_unreadable", "picture_format", "picture_too_large", "picture_timeout"}, (
                name
            )

    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor(4) as callers:
        list(callers.map(one, files))
    return found


def test_hostile_files_are_answered_or_refused(serving):
    found = post(serving.url, hostile_files(500))
    assert found.total() == 500
    assert not [status for status in found if status >= 500], found
    red = encoded(Image.new("RGB", (60, 60), COLOURS["red"]))
    assert post(serving.url, [("red.jpg", red)]) == {200: 1}


def test_hostile_files_in_one_form(serving):
    files = [("file", file) for file in hostile_files(100, seed=1)]
    body = httpx.post(f"{serving.url}/v1/predict", files=files, timeout=120).json()
    assert len(body["results"]) + len(body["failures"]) == 100
