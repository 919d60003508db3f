"""Jobs over HTTP: taken in, watched, cancelled; with real servers killed and stopped in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from pictures import class_folders
from sightline.jobs import runner
from sightline.settings import settings
from sightline.store import jobs
from sightline.store.database import database, forget
from sightline.verbs import VERBS

TESTED = Path(__file__).parents[1] / "jobs"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "root" / "photos", per_class=2).parent


@pytest.fixture
def dawdling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test verb in this process, quick beats."""
    monkeypatch.syspath_prepend(str(TESTED))
    monkeypatch.setitem(VERBS, "dawdle", VERBS["predict"])
    monkeypatch.setattr(runner, "CHILD", list(runner.CHILD))
    monkeypatch.setattr(runner.Crew.__init__, "__defaults__", (1, runner.Pace(beat=0.05, news=0.05, look=0.05, hand_back=2)))
    import dawdle

    dawdle.install()
    yield
    forget()


@pytest.fixture
def client(dawdling: None, open_client: Callable[..., TestClient], root: Path) -> TestClient:
    return open_client(root=root)


@pytest.fixture
def waiting(dawdling: None, open_client: Callable[..., TestClient], root: Path) -> TestClient:
    """A server that runs no jobs itself."""
    return open_client(root=root, worker=False)


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)
    return found


def ended(client: Any, address: str) -> dict[str, Any] | None:
    job: dict[str, Any] = client.get(address).json()
    return job if job["state"] in jobs.ENDED else None


def events(text: str) -> list[tuple[str, Any]]:
    """(event, data) of a whole stream; comments are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith((":", "retry")))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_a_long_verb_becomes_a_job(client: TestClient, root: Path) -> None:
    answer = client.post("/v1/verbs/dawdle", json={"out": "made", "steps": 2})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["verb"], job["state"]) == ("dawdle", "queued")
    done = until(lambda: ended(client, answer.headers["location"]))
    assert (done["state"], done["result"]) == ("done", {"made": 2, "found": 0, "ratio": None})
    assert len(list((root / "made").glob("step-*"))) == 2
    listed = client.get("/v1/jobs").json()["jobs"]
    assert [(one["id"], one["result"]) for one in listed] == [(job["id"], None)]
    assert client.get("/v1/jobs", params={"state": "queued"}).json() == {"jobs": []}


def test_predict_is_answered_at_once_unless_the_client_would_rather_not_wait(client: TestClient) -> None:
    body = {"pictures": ["photos"], "top": 1}
    at_once = client.post("/v1/verbs/predict", json=body)
    assert at_once.status_code == 200
    answer = client.post("/v1/verbs/predict", json=body, headers={"Prefer": "wait=10, Respond-Async"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    done = until(lambda: ended(client, answer.headers["location"]))
    assert done["state"] == "done", done

    def told(result: dict[str, Any]) -> list[tuple[str, Any]]:
        return [(one["picture"], one["labels"]) for one in result["results"]]

    assert told(done["result"]) == told(at_once.json())


def test_the_same_key_is_the_same_job(waiting: TestClient) -> None:
    def send(body: dict[str, Any], key: str) -> Any:
        return waiting.post("/v1/verbs/dawdle", json=body, headers={"Idempotency-Key": key})

    first = send({"out": "made"}, "a-1")
    assert send({"out": "made"}, "a-1").json() == first.json()
    assert send({"out": "made", "steps": 3}, "a-1").json()["id"] == first.json()["id"], "3 is what it means without saying"
    other = send({"out": "made", "steps": 4}, "a-1")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert send({"out": "made"}, "a-2").json()["id"] != first.json()["id"]
    assert send({"out": "made"}, "x" * 256).status_code == 400
    assert len(waiting.get("/v1/jobs").json()["jobs"]) == 2


def test_mistakes_are_named_before_anything_is_taken_in(waiting: TestClient, root: Path) -> None:
    (root / "link").symlink_to(root.parent)
    for body, status in (
        ({}, 400),
        ({"out": "made", "stesp": 3}, 400),
        ({"out": "made", "steps": "many"}, 400),
        ({"out": "../made"}, 403),
        ({"out": "link/made"}, 403),
        ({"out": "/etc"}, 403),
    ):
        assert waiting.post("/v1/verbs/dawdle", json=body).status_code == status, body
    assert waiting.get("/v1/jobs").json() == {"jobs": []}
    for address in ("/v1/jobs/nope", "/v1/jobs/nope/events"):
        assert waiting.get(address).status_code == 404
    assert waiting.post("/v1/jobs/nope/cancel").status_code == 404
    assert waiting.get("/v1/jobs", params={"state": "dead"}).status_code == 400
    assert waiting.get("/v1/jobs", params={"limit": 0}).status_code == 400


def test_words_that_are_no_paths_are_left_alone(waiting: TestClient, root: Path) -> None:
    body = {"data": "photos", "backbone": "mobilenetv2_100", "way": "probe", "out": "model"}
    job = waiting.post("/v1/verbs/train", json=body).json()
    assert job["arguments"]["backbone"] == "mobilenetv2_100"
    assert (job["arguments"]["data"], job["arguments"]["out"]) == (str(root / "photos"), str(root / "model"))
    assert waiting.post("/v1/verbs/train", json={**body, "out": "../model"}).status_code == 403
    assert waiting.post("/v1/verbs/train", json={**body, "way": "../probe"}).status_code == 400


def test_names_of_datasets_and_addresses(waiting: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def arguments(verb: str, **body: Any) -> Any:
        answer = waiting.post(f"/v1/verbs/{verb}", json=body)
        return answer.json()["arguments"] if answer.status_code == 202 else answer.status_code

    monkeypatch.chdir(root.parent)  # `root` is a folder here, and must not be meant by the word
    assert arguments("train", data="street signs")["data"] == "street signs"
    assert arguments("train", data="photos")["data"] == str(root / "photos"), "what lies below the root comes first"
    for word in ("../other", "a/../../b", ".."):
        assert arguments("train", data=word) == 403
    for word in ("~root", "~", "a.b"):
        assert arguments("train", data=word)["data"] == str(root / word)
    assert arguments("collect", source="https://example.org/a.zip", into="signs")["source"] == "https://example.org/a.zip"
    assert arguments("collect", source="photos", into="new/signs", label="red")["into"] == str(root / "new/signs")
    assert arguments("collect", source="photos", into="a.b")["into"] == str(root / "a.b")
    for source in ("s3://bucket/x", "camera:0", "file:///etc", "ftp://x/y"):
        assert arguments("collect", source=source, into="signs")["source"].startswith(str(root) + "/")
    assert arguments("collect", source="http://127.0.0.1/", into="signs", allow_private=True) == 403
    assert arguments("collect", source="../x", into="signs") == 403
    assert waiting.post("/v1/verbs/predict", json={"pictures": ["signs"]}).status_code == 404
    shown = waiting.get("/openapi.json").json()["paths"]["/v1/verbs/collect"]["post"]["requestBody"]
    assert "allow_private" not in json.dumps(shown)


def test_cancelling(client: TestClient, root: Path) -> None:
    running = client.post("/v1/verbs/dawdle", json={"out": "made", "steps": 1000, "seconds": 0.05}).headers["location"]
    until((root / "made/step-1").exists)
    assert client.post(f"{running}/cancel").status_code == 200
    stopped = until(lambda: ended(client, running))
    assert (stopped["state"], stopped["error"]["code"]) == ("cancelled", "interrupted")
    again = client.post(f"{running}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")


def test_progress_as_events(client: TestClient) -> None:
    body = {"out": "made", "steps": 8, "seconds": 0.2}
    address = client.post("/v1/verbs/dawdle", json=body).headers["location"]
    answer = client.get(f"{address}/events", headers={"Last-Event-ID": "77"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in answer.headers
    told = events(answer.text)
    kinds = [kind for kind, _ in told]
    assert kinds[-1] == "job"
    assert set(kinds[:-1]) == {"progress"}
    steps = [content["done"] for _, content in told[:-1] if "done" in content]
    assert steps == sorted(steps)
    assert told[-1][1]["result"]["made"] == 8
    late = client.get(f"{address}/events")
    assert [kind for kind, _ in events(late.text)] == ["job"]
    assert client.get(f"{address}/events", headers={"Last-Event-ID": "end"}).status_code == 204


def test_openapi_tells_of_jobs(waiting: TestClient) -> None:
    paths = waiting.get("/openapi.json").json()["paths"]
    assert {"/v1/jobs", "/v1/jobs/{job}", "/v1/jobs/{job}/events", "/v1/jobs/{job}/cancel"} <= set(paths)
    train = paths["/v1/verbs/train"]["post"]
    assert "202" in train["responses"]
    assert "200" not in train["responses"]
    assert "Location" in train["responses"]["202"]["headers"]
    assert {one["name"] for one in paths["/v1/verbs/predict"]["post"]["parameters"]} == {"Idempotency-Key", "Prefer"}


def test_without_a_root_there_are_no_jobs(open_client: Callable[..., TestClient]) -> None:
    assert open_client().get("/v1/jobs").status_code == 404


class Running:
    """`sightline serve` or `sightline worker` with the test verb, as processes of their own over one home."""

    def __init__(self, home: Path) -> None:
        self.home, self.count = home, 0
        self.processes: list[subprocess.Popen[bytes]] = []

    def begin(self, *words: object) -> tuple[subprocess.Popen[bytes], Path]:
        self.count += 1
        log = self.home / f"log-{self.count}"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, str(TESTED / "dawdle.py"), *map(str, words)],
                stdout=subprocess.DEVNULL,
                stderr=stream,
                env={**os.environ, "SIGHTLINE_HOME": str(self.home), "SIGHTLINE_THREADS": "2"},
            )
        self.processes.append(process)
        return process, log

    def serve(self, bundle: Path, root: Path, *words: object) -> tuple[subprocess.Popen[bytes], httpx.Client]:
        return self.door(bundle, "--no-pages", "--root", root, *words)

    def door(self, *words: object) -> tuple[subprocess.Popen[bytes], httpx.Client]:
        process, log = self.begin("serve", *words, "--port", 0)

        def found() -> str | None:
            assert process.poll() is None, log.read_text()
            lines = [line for line in log.read_text().splitlines() if " at http://" in line]
            return lines[0].rsplit(" at ", 1)[1].split()[0].split("/v1")[0] if lines else None

        client = httpx.Client(base_url=until(found), timeout=60)
        until(lambda: _ready(client))
        return process, client

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    home = tmp_path / "home"
    home.mkdir()
    found = Running(home)
    yield found
    found.end()


def age(home: Path) -> None:
    """Let the leases of the dead end now: tests do not wait for them."""
    forget()
    db = database(f"sqlite:///{home / 'sightline.db'}")
    with db.write() as connection:
        connection.execute(jobs.jobs.update().where(jobs.jobs.c.state == "running").values(lease=0))
    forget()


def test_a_killed_server_goes_on_with_its_job_when_it_is_started_again(running: Running, bundle: Path, root: Path) -> None:
    server, client = running.serve(bundle, root)
    address = client.post("/v1/verbs/dawdle", json={"out": "made", "steps": 40, "seconds": 0.05}).headers["location"]
    until((root / "made/step-3").exists)
    server.kill()
    server.wait()
    client.close()
    age(running.home)
    server, client = running.serve(bundle, root)
    done = until(lambda: ended(client, address))
    assert (done["state"], done["attempts"]) == ("done", 2)
    assert done["result"]["found"] >= 4, "it went on where it was"
    assert done["result"]["made"] + done["result"]["found"] == 40
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 0
    client.close()


def test_a_stopped_server_hands_its_job_to_a_worker_beside_it(running: Running, bundle: Path, root: Path) -> None:
    server, client = running.serve(bundle, root)
    address = client.post("/v1/verbs/dawdle", json={"out": "made", "steps": 40, "seconds": 0.05}).headers["location"]
    until((root / "made/step-3").exists)
    lines: list[str] = []

    def watch() -> None:
        with client.stream("GET", f"{address}/events") as answer:
            lines.extend(answer.iter_lines())

    watcher = threading.Thread(target=watch)
    watcher.start()
    until(lambda: any("progress" in line for line in lines))
    server.send_signal(signal.SIGTERM)
    assert server.wait(15) == 0, "a stream holds up nobody: the grace is 20 s"
    watcher.join()
    assert not any("event: job" in line for line in lines)
    client.close()
    forget()
    back = jobs.list_jobs(database(f"sqlite:///{running.home / 'sightline.db'}"))[0]
    assert (back.state, back.worker) == ("queued", "")
    worker, log = running.begin("worker", "--once")
    assert worker.wait(60) == 0, log.read_text()
    done = jobs.get(database(f"sqlite:///{running.home / 'sightline.db'}"), back.id)
    assert (done.state, done.attempts) == ("done", 2)
    assert done.result is not None
    assert done.result["found"] >= 4
    assert f"job {back.id}: done" in log.read_text()
    forget()


def test_a_server_without_a_worker_and_one_beside_it(waiting: TestClient, root: Path) -> None:
    running = Running(settings().home)
    address = waiting.post("/v1/verbs/dawdle", json={"out": "made", "steps": 100, "seconds": 0.05}).headers["location"]
    first, log = running.begin("worker", "--jobs", 2)
    try:
        until((root / "made/step-3").exists)
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0, log.read_text()
        assert waiting.get(address).json()["state"] == "queued"
        running.begin("worker")
        until(lambda: waiting.get(address).json()["state"] == "running")
        assert waiting.post(f"{address}/cancel").status_code == 200
        assert until(lambda: ended(waiting, address))["state"] == "cancelled"
    finally:
        running.end()


def test_watching_ends_when_the_client_goes_and_takes_no_place(running: Running, bundle: Path, root: Path) -> None:
    server, client = running.serve(bundle, root, "--no-worker", "--queue", 2)
    address = client.post("/v1/verbs/dawdle", json={"out": "made"}).headers["location"]
    many = [httpx.Client(base_url=client.base_url, timeout=60) for _ in range(20)]
    streams = []
    for one in many:
        stream = one.send(one.build_request("GET", f"{address}/events"), stream=True)
        assert stream.status_code == 200
        assert next(stream.iter_lines()).startswith("retry")
        streams.append(stream)
    assert "sightline_queue_depth 0.0" in client.get("/metrics").text
    picture = (root / "photos/red/red-0.jpg").read_bytes()
    assert client.post("/v1/predict", content=picture).status_code == 200
    for stream, one in zip(streams, many, strict=True):
        stream.close()
        one.close()
    route = 'sightline_requests_total{route="/v1/jobs/{job}/events",status="200"} 20.0'
    until(lambda: route in client.get("/metrics").text)
    server.send_signal(signal.SIGTERM)
    assert server.wait(15) == 0
    client.close()


def test_a_page_before_the_server_passes_the_events_on(running: Running, bundle: Path, root: Path) -> None:
    _server, client = running.serve(bundle, root, "--no-worker")
    page, through = running.door("--pages-for", str(client.base_url).rstrip("/"))
    answer = through.post("/v1/verbs/dawdle", json={"out": "made", "steps": 5}, headers={"Idempotency-Key": "a"})
    again = through.post("/v1/verbs/dawdle", json={"out": "made", "steps": 5}, headers={"Idempotency-Key": "a"})
    assert (answer.status_code, again.json()) == (202, answer.json())
    address = answer.headers["location"]
    with through.stream("GET", f"{address}/events") as stream:
        lines = stream.iter_lines()
        until(lambda: "queued" in next(lines))
        client.post(f"{address}/cancel")
        until(lambda: "event: job" in next(lines))
    waits = client.post("/v1/verbs/dawdle", json={"out": "made", "steps": 6}).headers["location"]
    with through.stream("GET", f"{waits}/events") as stream:
        lines = stream.iter_lines()
        until(lambda: "queued" in next(lines))
        page.send_signal(signal.SIGTERM)
        assert page.wait(15) == 0, "a stream holds up nobody"
    through.close()
    client.close()
