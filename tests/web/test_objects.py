"""A detector over REST: boxes in pixels of the picture that was sent; thresholds; what it does not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from finders import finder_bundle, scene
from pictures import encoded

PLACES = {"red": (20, 30, 60, 70), "blue": (100, 10, 140, 90)}
RAW = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finder_bundle(tmp_path_factory.mktemp("models") / "finder")


@pytest.fixture
def client(open_client: Callable[..., TestClient], finder: Path) -> TestClient:
    return open_client(model=finder)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_boxes_in_pixels_of_the_picture(client: TestClient, kind: str):
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    answer = client.post("/v1/predict?name=a", content=encoded(scene(PLACES), kind, **options), headers=RAW)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    assert result["size"] == [160, 120]
    assert result["took_ms"] > 0
    assert {label["label"] for label in result["labels"]} == set(PLACES)
    for label in result["labels"]:
        assert np.abs(np.array(label["box"]) - PLACES[label["label"]]).max() <= 3.4


def test_an_upright_box_of_a_turned_picture(client: TestClient):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = scene(PLACES).transpose(Image.Transpose.ROTATE_90)
    data = encoded(stored, quality=95, subsampling=0, exif=exif.tobytes())
    result = client.post("/v1/predict", content=data, headers=RAW).json()["results"][0]
    assert result["size"] == [160, 120]
    red = next(label for label in result["labels"] if label["label"] == "red")
    assert np.abs(np.array(red["box"]) - PLACES["red"]).max() <= 3.4


def test_threshold_and_top(client: TestClient):
    picture = scene(PLACES)
    picture.paste((128, 128, 128), (20, 30, 45, 60))  # red is an L: less than half of its box
    data = encoded(picture, "PNG")

    def count(query: str) -> int:
        answer = client.post(f"/v1/predict{query}", content=data, headers=RAW)
        assert answer.status_code == 200, answer.text
        return len(answer.json()["results"][0]["labels"])

    assert count("?threshold=0.05") == 2
    assert count("?threshold=0.9") == 1
    assert count("?threshold=0.05&top=1") == 1
    assert count("") == 2
    for wrong in ("7", "x", "nan"):
        answer = client.post(f"/v1/predict?threshold={wrong}", content=data, headers=RAW)
        assert answer.status_code == 400
        assert "0 to 1" in answer.json()["error"]["message"]


def test_several_pictures_and_a_bad_one(client: TestClient):
    files = [("file", (f"{name}.png", data)) for name, data in (("a", encoded(scene(PLACES), "PNG")), ("b", b"x"))]
    answer = client.post("/v1/predict", files=files).json()
    assert len(answer["results"][0]["labels"]) == 2
    assert answer["failures"][0]["picture"] == "b.png"


def test_what_a_detector_does_not_do(client: TestClient, open_client: Callable[..., TestClient]):
    data = encoded(scene(PLACES), "PNG")
    answer = client.post("/v1/explain", content=data, headers=RAW)
    assert answer.status_code == 400
    assert "/v1/predict" in answer.json()["error"]["hint"]
    other = open_client().post("/v1/predict?threshold=0.5", content=data, headers=RAW)
    assert other.status_code == 400
    assert "whole pictures" in other.json()["error"]["message"]
    assert client.get("/v1/models").json()["models"][0]["task"] == "detection"


def test_the_schema_has_boxes(client: TestClient):
    schema = client.get("/openapi.json").json()
    assert "box" in schema["components"]["schemas"]["LabelScore"]["properties"]
    names = [one["name"] for one in schema["paths"]["/v1/predict"]["post"]["parameters"]]
    assert "threshold" in names


def test_the_verb_over_rest(open_client: Callable[..., TestClient], finder: Path, tmp_path: Path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "one.png").write_bytes(encoded(scene(PLACES), "PNG"))
    finder_bundle(root / "finder")
    client = open_client(model=finder, root=root)
    asked = {"pictures": ["one.png"], "model": "finder", "tiles": "off", "save_pictures": "drawn"}
    answer = client.post("/v1/verbs/predict", json=asked)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["results"][0]["labels"]) == 2
    assert (root / "drawn/one.jpg").is_file()
    outside = client.post("/v1/verbs/predict", json={**asked, "save_pictures": "/tmp/elsewhere"})
    assert outside.status_code == 403
