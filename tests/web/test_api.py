from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles import tiny_bundle
from pictures import COLOURS, drawn, encoded
from sightline.errors import UsageError
from sightline.runtime.model import load
from sightline.runtime.tasks import to_wire
from sightline.web.gate import COOKIE, Gate
from sightline.web.keys import KeyStore

RED = encoded(drawn(1, colour=COLOURS["red"]))
FAULT = {"code", "message", "hint", "detail", "id"}


def fault(answer, status: int, code: str | None = None) -> dict:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == FAULT
    assert body["error"]["id"] == answer.headers["x-request-id"]
    if code is not None:
        assert body["error"]["code"] == code
    return body["error"]


def test_one_raw_picture_gets_exactly_the_documented_answer(client, bundle: Path):
    body = client.post("/v1/predict?name=a.jpg", content=RED).json()
    assert set(body) == {"results", "failures"}
    (result,) = body["results"]
    assert body["failures"] == []
    expected = to_wire(load(bundle).predict(RED, "a.jpg"))
    assert list(result) == ["picture", "labels", "flags", "took_ms"]
    assert result | {"took_ms": 0} == expected | {"took_ms": 0}
    assert result["took_ms"] > 0


def test_top_and_model(client):
    assert len(client.post("/v1/predict?top=2&model=tiny", content=RED).json()["results"][0]["labels"]) == 2
    for top in ("0", "-1", "x", "1.5", "", "٣"):
        fault(client.post("/v1/predict", params={"top": top}, content=RED), 400, "usage")
    error = fault(client.post("/v1/predict?model=tinny", content=RED), 404, "model_not_found")
    assert error["hint"] == "did you mean tiny?"
    assert fault(client.post("/v1/predict?topp=1", content=RED), 400)["hint"] == "did you mean top?"


def test_several_pictures_answer_in_order_and_a_bad_one_stops_nothing(client):
    files = [("file", (f"{i}.jpg", RED)) for i in range(5)]
    files[2] = ("file", ("bad.jpg", b"no picture"))
    body = client.post("/v1/predict", files=files).json()
    assert [result["picture"] for result in body["results"]] == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]
    (failure,) = body["failures"]
    assert failure["picture"] == "bad.jpg"
    assert set(failure["error"]) == {"code", "message", "hint"}


def test_a_single_bad_picture_is_the_answer_s_error(client):
    fault(client.post("/v1/predict", content=b"no picture"), 415, "picture_format")
    fault(client.post("/v1/predict", files={"file": ("a.jpg", RED[:300])}), 422)
    fault(client.post("/v1/predict", content=b""), 422)
    fault(client.post("/v1/predict", json={"picture": "x"}), 400)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"])
def test_every_format_is_read(client, kind: str):
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    data = encoded(drawn(1, colour=COLOURS["red"]), kind)
    assert client.post("/v1/predict", content=data).json()["results"][0]["labels"][0]["label"] == "red"
    preview = client.post("/v1/preview", content=data)
    assert Image.open(io.BytesIO(preview.content)).format == "JPEG"


def test_body_limit(open_client):
    client = open_client(max_body_mb=0.01)
    big = b"x" * 10_001
    fault(client.post("/v1/predict", content=big), 413, "body_too_large")
    fault(client.post("/v1/predict", content=(big[i : i + 100] for i in range(0, len(big), 100))), 413)
    fault(client.post("/v1/explain", content=big), 413)
    fault(client.post("/v1/session", content=big), 413)


def test_models_and_health(client, bundle: Path):
    (card,) = client.get("/v1/models").json()["models"]
    assert card["name"] == "tiny"
    assert card["default"]
    assert card["classes"] == ["red", "green", "blue"]
    assert client.get(f"/v1/models/{card['id']}").json() == card
    fault(client.get("/v1/models/nope"), 404, "model_not_found")
    assert client.get("/health/live").json()["status"] == "ok"
    assert client.get("/health/ready").json()["models"] == ["tiny"]


def test_a_folder_of_models(open_client, tmp_path: Path):
    for name in ("one", "two"):
        tiny_bundle(tmp_path / name, name=name)
    client = open_client(model=tmp_path)
    assert [card["name"] for card in client.get("/v1/models").json()["models"]] == ["one", "two"]
    assert client.post("/v1/predict?model=two", content=RED).status_code == 200
    tiny_bundle(tmp_path / "three", name="two")
    with pytest.raises(UsageError):
        open_client(model=tmp_path)


def test_explain_gives_a_grid_over_the_region_the_model_sees(client):
    wide = encoded(drawn(2, (160, 80), COLOURS["red"]))
    body = client.post("/v1/explain?label=red&name=w.jpg", content=wide).json()
    assert np.array(body["grid"]).shape == (7, 7)
    assert body["label"] == "red"
    assert body["region"] == {"x0": 0.25, "y0": 0, "x1": 0.75, "y1": 1}
    fault(client.post("/v1/explain?label=purple", content=wide), 400)
    assert client.post("/v1/explain", content=wide).json()["label"] in ("red", "green", "blue")


def test_metrics_count_requests_times_and_flags(client):
    client.post("/v1/predict", content=encoded(Image.new("RGB", (64, 64), (255, 255, 255))))
    client.post("/v1/predict", content=b"junk")
    client.get("/v1/nowhere/" + "x" * 50)
    text = client.get("/metrics").text
    assert 'sightline_requests_total{route="/v1/predict",status="200"} 1.0' in text
    assert 'sightline_requests_total{route="other",status="404"} 1.0' in text
    assert "sightline_pictures_unknown_total 1.0" in text
    assert 'sightline_picture_failures_total{code="picture_format"} 1.0' in text
    assert "sightline_queue_depth 0.0" in text
    assert "sightline_decode_seconds_count 1.0" in text
    assert "xxxx" not in text


def test_a_full_queue_answers_429_and_a_stopping_server_503(client):
    service = client.app.service
    admission = service.admission
    admission.inside = admission.limit
    answer = client.post("/v1/predict", content=RED)
    fault(answer, 429, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    fault(client.post("/v1/explain", content=RED), 429)
    admission.inside = 0
    client.app.stopping = True
    service.stop()
    answer = client.post("/v1/predict", content=RED)
    fault(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    fault(client.get("/health/ready"), 503)
    assert client.get("/health/live").status_code == 200


def operations(client) -> list[tuple[str, str]]:
    paths = client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path.replace("{name}", "tiny")) for path, methods in paths.items() for method in methods]


def test_every_error_of_every_route_has_one_shape(client, monkeypatch):
    found = operations(client)
    assert ("POST", "/v1/predict") in found
    assert len(found) >= 10
    for method, path in found:
        refused = client.request("PATCH", path)
        fault(refused, 405, "method_not_allowed")
        assert refused.headers["allow"]
        fault(client.request(method, path + "/nope/nope"), 404, "not_found")
        if method == "POST":
            fault(client.request(method, path, content=b"{}", headers={"content-type": "text/plain"}), 400)
        fault(client.request(method, path, headers={"host": "evil.com"}), 403, "forbidden")
    service = client.app.service
    for name in ("model", "explain", "preview"):
        monkeypatch.setattr(service, name, None)  # calling it is a fault of ours
    monkeypatch.setattr(service.metrics, "text", None)
    for method, path in (("POST", "/v1/predict"), ("POST", "/v1/preview"), ("GET", "/metrics"), ("GET", "/v1/models/a")):
        error = fault(client.request(method, path, content=RED if method == "POST" else None), 500, "internal")
        assert "NoneType" not in json.dumps(error)


def test_every_operation_documents_its_answers_with_examples(client):
    schema = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(schema)
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (path, method)
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert answer["content"]["application/json"], (path, method, status)
    example = schema["paths"]["/v1/predict"]["post"]["responses"]["429"]["content"]["application/json"]["example"]
    assert set(example["error"]) == FAULT


def test_every_route_but_health_needs_the_key(open_client, tmp_path: Path):
    store = KeyStore(tmp_path / "keys.json")
    secret = store.new("a")
    client = open_client(Gate("0.0.0.0", (), store))
    opened = client.get("/openapi.json", headers={"x-api-key": secret}).json()["paths"]
    for path, methods in opened.items():
        for method in methods:
            if path.startswith("/health/") or path == "/v1/session":
                continue
            answer = client.request(method, path.replace("{name}", "tiny"))
            fault(answer, 401, "access_denied")
            assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/openapi.json", "/docs", "/nope"):
        fault(client.get(path), 401)
    assert client.get("/health/live").status_code == 200
    assert client.get("/", headers={"accept": "text/html"}, follow_redirects=False).headers["location"] == "/login"
    assert client.post("/v1/predict", content=RED, headers={"authorization": f"Bearer {secret}"}).status_code == 200
    store.revoke(secret.split("_")[1])
    fault(client.post("/v1/predict", content=RED, headers={"authorization": f"Bearer {secret}"}), 401)


def test_logging_a_browser_in(open_client, tmp_path: Path, caplog):
    store = KeyStore(tmp_path / "keys.json")
    secret = store.new("a")
    client = open_client(Gate("0.0.0.0", (), store))
    with caplog.at_level("DEBUG"):
        error = fault(client.post("/v1/session", json={"key": "sl_wrong_key"}), 401)
        assert "sl_wrong" not in json.dumps(error)
        fault(client.post("/v1/session", json={"kee": secret}), 400)
        fault(client.get("/v1/models?key=" + secret), 401)
        answer = client.post("/v1/session", json={"key": secret})
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert client.get("/v1/models").status_code == 200
        fault(client.post("/v1/predict", content=RED, headers={"origin": "http://evil.com"}), 403)
        client.delete("/v1/session")
        assert COOKIE not in client.cookies
        fault(client.get("/v1/models"), 401)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert ours
    assert not any(secret in line for line in ours)


def test_headers_keep_the_browser_on_our_side(client):
    for path in ("/v1/models", "/docs", "/login", "/static/page/dom.js", "/nope"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline' " not in headers["content-security-policy"].replace("style-src 'self' 'unsafe-inline'", "")
        assert re.fullmatch(r"[\w.-]+", headers["x-request-id"])


def test_request_ids_of_callers_are_kept_when_they_are_harmless(client):
    assert client.get("/v1/models", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert "\n" not in client.get("/v1/models", headers={"x-request-id": "a b<c>"}).headers["x-request-id"]


def test_static_files_do_not_lead_elsewhere(client):
    for path in (
        "/static/../api.py",
        "/static/%2e%2e/api.py",
        "/static/..%2fapi.py",
        "/static//etc/passwd",
        "/static/\\..\\api.py",
    ):
        assert client.get(path).status_code == 404
