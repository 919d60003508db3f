"""Collecting by phone: the routes, who may do what, a kill in the middle, and the page on a phone with a broken connection."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
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

from pictures import drawn, encoded
from sightline.errors import UsageError
from sightline.settings import settings
from sightline.store import datasets
from sightline.store.blobs import blobs
from sightline.store.database import database
from sightline.verbs.contributions import Contributions
from sightline.verbs.invitation import read_wanted, terms
from sightline.web.collecting import create_collecting
from sightline.web.front import Front
from sightline.web.gate import Gate
from sightline.web.keys import KeyStore
from sightline.web.service import Service

CHROMIUM = Path("/usr/bin/chromium")
WANTED = "cat:4,dog:50"
TERMS = terms()


@pytest.fixture
def collection() -> Contributions:
    found = Contributions(database(), blobs(), "pets", read_wanted(WANTED), TERMS)
    found.open()
    return found


@pytest.fixture
def open_page(collection: Contributions) -> Iterator[Callable[..., TestClient]]:
    opened: list[TestClient] = []

    def open_one(gate: Gate | None = None) -> TestClient:
        keeper = gate or Gate("127.0.0.1")
        service = Service([], 2, max_body=1_000_000)
        front = Front(create_collecting(service, keeper, collection), service, keeper, max_body=1_000_000)
        client = TestClient(front, base_url="http://127.0.0.1", raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        client.__exit__(None, None, None)


def picture(seed: int = 0) -> bytes:
    return encoded(drawn(seed, (240, 200)))


def post(client, content: bytes, headers: dict[str, str] | None = None, **said: str):
    values = {"label": "cat", "terms": TERMS.version, "ticket": "abc123", **said}
    return client.post("/v1/collect/pets/pictures", params=values, content=content, headers=headers)


# --- routes


def test_giving_looking_and_making_a_version(open_page):
    client = open_page()
    about = client.get("/v1/collect").json()
    assert about["owner"] is True
    assert about["collections"][0]["terms"]["version"] == TERMS.version
    given = post(client, picture(), author="Ana")
    assert (given.status_code, given.json()["have"], given.json()["wanted"]) == (201, 1, 4)
    again = post(client, picture())
    assert (again.status_code, again.json()["doubled"], again.json()["have"]) == (200, False, 1)
    stranger = post(client, picture(), ticket="other")
    assert (stranger.status_code, stranger.json()["doubled"]) == (200, True)
    listed = client.get("/v1/collect/pets/pictures").json()
    assert [(one["label"], one["author"], one["waiting"]) for one in listed["pictures"]] == [("cat", "Ana", True)]
    small = client.get(f"/v1/collect/pets/pictures/{given.json()['picture']}")
    assert small.headers["content-type"] == "image/jpeg"
    made = client.post("/v1/collect/pets/version").json()
    assert (made["count"], made["added"]) == (1, 1)
    assert datasets.summary(database(), "pets").hash == made["dataset"]
    assert client.get("/v1/collect/pets").json()["waiting"] == 0
    assert client.get(f"/v1/collect/pets/pictures/{given.json()['picture']}").content == small.content


def test_taking_back_and_taking_out(open_page):
    client = open_page()
    first, second = (post(client, picture(seed)).json()["picture"] for seed in (1, 2))
    address = "/v1/collect/pets/pictures"
    assert client.delete(f"{address}/{first}", params={"ticket": "wrong"}).status_code == 404
    assert client.delete(f"{address}/{first}", params={"ticket": "abc123"}).json() == {"removed": 1}
    assert client.delete(f"{address}/{first}", params={"ticket": "abc123"}).status_code == 404
    assert client.delete(f"{address}/{second}").json() == {"removed": 1}
    assert client.delete(f"{address}/{second}").json() == {"removed": 0}
    assert client.get(f"{address}/{second}").status_code == 404
    assert client.get("/v1/collect/pets").json()["count"] == 0


@pytest.mark.parametrize(
    ("content", "said", "status", "code"),
    [
        (b"no picture at all", {}, 415, "picture_format"),
        (b"", {}, 422, "picture_unreadable"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}, 415, "picture_format"),
        (picture()[:900], {}, 422, "picture_unreadable"),
        (b"x" * 1_000_001, {}, 413, "body_too_large"),
        (picture(), {"label": "horse"}, 404, "not_found"),
        (picture(), {"label": ""}, 404, "not_found"),
        (picture(), {"terms": "0" * 12}, 409, "conflict"),
        (picture(), {"ticket": "<b>"}, 400, "usage"),
        (picture(), {"author": "A" * 200}, 400, "usage"),
        (picture(), {"taken_at": "now"}, 400, "usage"),
        (picture(), {"tikcet": "x"}, 400, "usage"),
    ],
)
def test_what_is_not_taken(open_page, content: bytes, said: dict[str, str], status: int, code: str):
    client = open_page()
    answer = post(client, content, **said)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert client.get("/v1/collect/pets").json()["count"] == 0
    assert not (settings().home / "blobs").exists()


def test_other_names_models_and_pages(open_page):
    client = open_page()
    for method, path in (
        ("GET", "/v1/collect/cars"),
        ("POST", "/v1/collect/cars/version"),
        ("GET", "/v1/collect/cars/pictures"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert client.post("/v1/predict", content=picture()).json()["error"]["code"] == "model_not_found"
    assert client.get("/", follow_redirects=False).headers["location"] == "/collect"
    for path in ("/collect", "/collect/owner"):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "unsafe-eval" not in policy
        assert "default-src 'none'" in policy
        assert "http://" not in answer.text.replace("http-equiv", "")
    routes = client.get("/openapi.json").json()["paths"]
    assert {"get", "post"} == set(routes["/v1/collect/{dataset}/pictures"])


def test_guests_may_give_and_nothing_else(open_page):
    store = KeyStore(settings().home / "keys.json")
    owner, guest = store.new("me"), store.new("phones", "collect")
    client = open_page(Gate("0.0.0.0", (), store))
    as_guest, as_owner = {"X-API-Key": guest}, {"X-API-Key": owner}
    assert post(client, picture()).status_code == 401
    given = post(client, picture(), as_guest)
    assert given.status_code == 201
    address = "/v1/collect/pets/pictures"
    assert client.get("/v1/collect", headers=as_guest).json()["owner"] is False
    for method, path in (
        ("GET", address),
        ("GET", f"{address}/{given.json()['picture']}"),
        ("DELETE", f"{address}/{given.json()['picture']}"),
        ("POST", "/v1/collect/pets/version"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("POST", "/v1/predict"),
        ("GET", "/v1/collectors"),
    ):
        assert client.request(method, path, headers=as_guest).status_code == 403, path
    assert client.get(address, headers=as_owner).json()["count"] == 1
    ticket = {"ticket": "abc123"}
    assert client.delete(f"{address}/{given.json()['picture']}", params=ticket, headers=as_guest).status_code == 200
    store.forget("phones", "collect")
    assert client.get("/v1/collect", headers=as_guest).status_code == 401
    assert [key.name for key in store.all()] == ["me"]


def test_a_guests_key_alone_opens_no_server_to_the_network():
    store = KeyStore(settings().home / "keys.json")
    store.new("phones", "collect")
    assert not store.any()


def test_other_web_sites_may_not_send(open_page):
    client = open_page()
    assert post(client, picture(), {"Origin": "https://evil.example"}).status_code == 403
    assert post(client, picture(), {"Host": "evil.example"}).status_code == 403


# --- a real process


class Page:
    """`sightline collect --page` as users run it."""

    def __init__(self, home: Path, *more: str, port: int = 0) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = port or probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log, self.out = home / f"collect-{self.port}.log", home / f"collect-{self.port}.json"
        words = ["collect", "--page", "--into", "pets", "--wanted", "cat:4,dog:900", "--port", str(self.port), "--json", *more]
        with self.log.open("wb") as log, self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from sightline.cli import main; main()", *words],
                stdout=out,
                stderr=log,
                env={**os.environ, "SIGHTLINE_HOME": str(home), "SIGHTLINE_THREADS": "2"},
            )
        for _ in range(600):
            if self.process.poll() is not None:
                pytest.fail(f"the page ended: {self.log.read_text()}")
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
        pytest.fail(f"the page did not open: {self.log.read_text()}")

    def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(60)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Callable[..., Page]]:
    running: list[Page] = []

    def open_one(*more: str, port: int = 0) -> Page:
        running.append(Page(tmp_path, *more, port=port))
        return running[-1]

    yield open_one
    for one in running:
        one.end()


def killed(page: Callable[..., Page], times: int) -> None:
    """Kill the server `times` times while two phones send and take back; what was acknowledged must hold at the next start."""
    chance = random.Random(5)
    seeds = itertools.count()
    given: dict[str, bool] = {}  # content -> is it to be there?
    doubtful: set[str] = set()  # asked to take back, but not answered

    for _ in range(times):
        running = page()

        def phone(url: str = running.url) -> None:
            with httpx.Client(base_url=url, timeout=60) as client:
                try:
                    while True:
                        seed = next(seeds)
                        said = {"label": "dog", "terms": TERMS.version, "ticket": "t"}
                        answer = client.post("/v1/collect/pets/pictures", params=said, content=picture(seed))
                        if answer.status_code != 201:
                            continue  # 429: more than enough at once
                        sha256 = answer.json()["picture"]
                        given[sha256] = True
                        if seed % 5 == 0:
                            doubtful.add(sha256)
                            back = client.delete(f"/v1/collect/pets/pictures/{sha256}", params={"ticket": "t"})
                            if back.status_code == 200:
                                given[sha256] = False
                                doubtful.discard(sha256)
                        if seed % 7 == 0:
                            client.post("/v1/collect/pets/version")
                except httpx.HTTPError:
                    return

        phones = [threading.Thread(target=phone) for _ in range(2)]
        for one in phones:
            one.start()
        time.sleep(chance.uniform(0.3, 1.2))
        running.end(signal.SIGKILL)
        for one in phones:
            one.join()
    last = page()
    there = {
        one["picture"] for one in httpx.get(f"{last.url}/v1/collect/pets/pictures?limit=1000", timeout=60).json()["pictures"]
    }
    assert last.end(signal.SIGTERM) == 0
    assert len(given) > times
    for sha256, kept in given.items():
        if sha256 not in doubtful:
            assert (sha256 in there) is kept


def test_kill_9_loses_nothing_acknowledged(page):
    killed(page, 1)


@pytest.mark.slow
def test_twenty_kills_lose_nothing(page):
    killed(page, 20)


def test_the_network_needs_an_owners_key():
    from sightline.web.collect import collect_page

    KeyStore(settings().home / "keys.json").new("phones for pets", "collect")
    with pytest.raises(UsageError) as raised:
        collect_page(into="pets", wanted=WANTED, host="0.0.0.0", port=0)
    assert "`sightline keys --new NAME`" in raised.value.hint


@pytest.mark.parametrize("wrong", [{"wanted": "cat"}, {"port": 70_000}, {"max_body_mb": 0}, {"grace_s": -1}, {"into": "a/b"}])
def test_what_the_page_cannot_be_asked(wrong: dict[str, Any]):
    from sightline.web.collect import collect_page

    with pytest.raises(UsageError):
        collect_page(**{"into": "pets", "wanted": WANTED, "port": 0, **wrong})


# --- on a phone


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if not CHROMIUM.exists():
        pytest.skip("needs Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def phone(browser) -> Iterator[Callable[..., object]]:
    """`phone(url)`: a page of 390 x 844; at the end nothing foreign was asked for, no script failed, nothing was blocked."""
    problems: list[str] = []
    contexts = []

    def open_phone(url: str, path: str = "/", **options: object):
        options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, **options}
        context = browser.new_context(**options)
        contexts.append(context)
        opened = context.new_page()
        opened.set_default_timeout(60_000)
        own = (url, "blob:", "data:")
        opened.on("request", lambda one: None if one.url.startswith(own) else problems.append(f"foreign {one.url}"))
        opened.on("pageerror", lambda error: problems.append(f"script {error}"))
        opened.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        opened.goto(url + path)
        return opened

    yield open_phone
    for context in contexts:
        context.close()
    assert problems == []


def files(*seeds: int) -> list[dict[str, object]]:
    return [{"name": f"{seed}.jpg", "mimeType": "image/jpeg", "buffer": picture(seed)} for seed in seeds]


def agree(opened, label: str, name: str = "") -> None:
    opened.get_by_label("Your name").fill(name)
    opened.get_by_role("button", name="I agree").click()
    opened.get_by_role("radio", name=label).check()


def send(opened, *seeds: int) -> None:
    opened.locator("input[type=file]").nth(1).set_input_files(files(*seeds))
    opened.locator(".co-strip img").nth(len(seeds) - 1).wait_for()
    opened.get_by_role("button", name="Send").click()


def counts(url: str) -> dict[str, int]:
    return {one["label"]: one["have"] for one in httpx.get(f"{url}/v1/collect/pets").json()["classes"]}


@pytest.mark.browser
def test_a_phone_whose_connection_breaks(page, phone, tmp_path: Path):
    running = page()
    opened = phone(running.url)
    assert opened.get_by_role("button", name="Take a picture").count() == 0  # not before agreeing
    agree(opened, "cat", "Ana")
    assert opened.locator("input[capture=environment]").count() == 1
    send(opened, 1, 2)
    opened.get_by_text("2 of 4, 2 still wanted").wait_for()
    assert counts(running.url) == {"cat": 2, "dog": 0}

    opened.context.set_offline(True)
    send(opened, 3)
    opened.get_by_text("1 picture waiting").wait_for()
    opened.get_by_role("radio", name="dog").check()
    send(opened, 4, 5)
    opened.get_by_text("3 pictures waiting").wait_for()
    opened.screenshot(path=tmp_path / "waiting.png")
    assert counts(running.url) == {"cat": 2, "dog": 0}
    opened.context.set_offline(False)
    opened.get_by_text("All sent. Thank you!").wait_for()
    assert counts(running.url) == {"cat": 3, "dog": 2}

    opened.get_by_role("button", name="Take my last picture back").click()
    opened.get_by_text("Taken back.").wait_for()
    assert counts(running.url) == {"cat": 3, "dog": 1}
    opened.locator("input[type=file]").nth(1).set_input_files([{"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"no"}])
    opened.get_by_role("button", name="Send").click()
    opened.get_by_text("Not taken.").wait_for()
    opened.get_by_text("One was not taken").wait_for()
    opened.screenshot(path=tmp_path / "done.png", full_page=True)
    assert running.end(signal.SIGTERM) == 0
    told = json.loads(running.out.read_text())
    assert {key: told[key] for key in ("name", "count", "added")} == {"name": "pets", "count": 4, "added": 4}


@pytest.mark.browser
def test_pictures_outlive_the_page_and_the_server(page, phone):
    running = page()
    opened = phone(running.url)
    agree(opened, "cat")
    opened.context.set_offline(True)
    send(opened, 1, 2)
    opened.get_by_text("2 pictures waiting").wait_for()
    running.end(signal.SIGKILL)
    again = page("--consent", "Something <b>else</b>.", port=running.port)
    opened.context.set_offline(False)
    opened.reload()  # as when the telephone threw the page away
    opened.get_by_text("Something <b>else</b>.").wait_for()
    assert counts(again.url)["cat"] == 0
    opened.get_by_role("button", name="I agree").click()
    opened.get_by_text("All sent. Thank you!").wait_for()
    assert counts(again.url)["cat"] == 2
    opened.reload()
    opened.get_by_text("2 of 4, 2 still wanted").wait_for()
    assert opened.get_by_role("button", name="I agree").count() == 0
    assert opened.get_by_role("button", name="Take my last picture back").is_visible()


@pytest.mark.browser
def test_a_code_with_a_key_lets_a_phone_in_and_the_owner_sees_everything(page, phone, tmp_path: Path):
    secret = KeyStore(tmp_path / "keys.json").new("me")
    running = page("--host", "0.0.0.0")
    key = running.log.read_text().split("#key=")[1].split()[0]
    assert httpx.get(f"{running.url}/v1/collect").status_code == 401
    opened = phone(running.url, f"/collect#key={key}")
    agree(opened, "cat")
    assert key not in opened.url
    send(opened, 1)
    opened.get_by_text("1 of 4, 3 still wanted").wait_for()
    assert opened.get_by_text("owner").count() == 0

    owner = phone(running.url, f"/collect/owner#key={secret}", viewport={"width": 360, "height": 800}, color_scheme="dark")
    owner.get_by_role("link", name="See all pictures (owner)").click()
    owner.locator(".co-sheet img").wait_for()
    assert owner.evaluate("document.documentElement.scrollWidth") <= 360
    owner.get_by_role("button", name="Make a version now").click()
    owner.get_by_text("1 of them new").wait_for()
    owner.get_by_role("button", name="Remove this picture of cat").click()
    owner.get_by_text("Really remove?").click()
    owner.get_by_text("Removed.").wait_for()
    owner.screenshot(path=tmp_path / "owner.png")
    assert httpx.get(f"{running.url}/v1/collect/pets", headers={"X-API-Key": secret}).json()["count"] == 0
    assert running.end(signal.SIGTERM) == 0
    assert [one.name for one in KeyStore(tmp_path / "keys.json").all()] == ["me"]  # the invitation ended with the page
