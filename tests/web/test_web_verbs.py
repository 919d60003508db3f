from __future__ import annotations

from pathlib import Path

import pytest

from pictures import class_folders
from sightline.errors import ForbiddenError
from sightline.web.verbs import inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    class_folders(tmp_path / "root" / "photos", per_class=2)
    return tmp_path / "root"


@pytest.fixture
def client(open_client, root: Path):
    return open_client(root=root)


def test_predict_over_files_below_the_root(client, root: Path):
    body = client.post("/v1/verbs/predict", json={"pictures": ["photos/red", "photos/blue/blue-0.jpg"], "top": 1}).json()
    assert [Path(result["picture"]).name for result in body["results"]] == ["red-0.jpg", "red-1.jpg", "blue-0.jpg"]
    assert [result["labels"][0]["label"] for result in body["results"]] == ["red", "red", "blue"]
    assert client.post("/v1/verbs/predict", json={"pictures": ["photos"], "model": "tiny"}).status_code == 200


def test_mistakes_are_named(client):
    answer = client.post("/v1/verbs/predict", json={"picturs": ["photos"]})
    assert answer.status_code == 400
    assert answer.json()["error"]["hint"] == "did you mean pictures?"
    for wrong in ({}, {"pictures": 3}, {"pictures": ["photos"], "top": "many"}, {"pictures": ["photos"], "top": 0}):
        assert client.post("/v1/verbs/predict", json=wrong).status_code == 400, wrong
    assert client.post("/v1/verbs/predict", json={"pictures": ["photos/nope"]}).status_code == 404
    assert client.post("/v1/verbs/predict", json=["photos"]).status_code == 400


@pytest.mark.parametrize(
    "path", ["..", "../secret.jpg", "/etc/passwd", "photos/../../x", "link/secret.jpg", "a\0b", "%2e%2e/../.."]
)
def test_no_path_leads_outside_the_root(client, root: Path, path: str):
    (root.parent / "secret.jpg").write_bytes(b"x")
    (root / "link").symlink_to(root.parent)
    for body in ({"pictures": [path]}, {"pictures": ["photos"], "model": path}):
        answer = client.post("/v1/verbs/predict", json=body)
        assert answer.status_code == 403, answer.text
        assert str(root.parent) not in answer.text


def test_paths_resolve_below_the_base(tmp_path: Path):
    assert inside([Path("a/b")], tmp_path) == [tmp_path / "a/b"]
    assert inside(None, tmp_path) is None
    assert inside(3, tmp_path) == 3
    with pytest.raises(ForbiddenError):
        inside((Path("../x"),), tmp_path)


def test_without_a_root_there_are_no_verbs(open_client):
    assert open_client().post("/v1/verbs/predict", json={"pictures": ["photos"]}).status_code == 404
