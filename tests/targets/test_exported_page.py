"""The exported page in Chromium: the same answers as `predict`, without network, with a camera; nothing foreign is asked."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles import tiny_bundle
from finders import finder_bundle, scene
from pictures import COLOURS, drawn, encoded
from sightline.runtime import pixels
from sightline.runtime.bundle import read_bundle
from sightline.runtime.model import load
from sightline.targets import parity, web
from sightline.types import InputSpec
from sightline.verbs.export import export

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "</title><script>alert(1)</script>"

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium")]


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(
            executable_path=str(CHROMIUM),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--no-first-run",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
            ],
        )
        yield opened
        opened.close()


class Host:
    """A folder on a loopback port, as `python -m http.server` gives it; what was asked for is kept."""

    def __init__(self, folder: Path) -> None:
        asked: list[str] = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                asked.append(self.path)

        self.asked, self.stopped = asked, False
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        if self.stopped:
            return
        self.stopped = True
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Visit:
    """An exported page, ready, and its host; what it must never do is noted in `problems`."""

    def __init__(self, browser, bundle: Path, out: Path, runtime: Path) -> None:
        self.problems: list[str] = []
        export(str(bundle), to="web", out=out, runtime=runtime)
        self.bundle, self.host = bundle, Host(out)
        self.context = browser.new_context(viewport={"width": 1000, "height": 900}, permissions=["camera"])
        own = (self.host.url, "blob:")
        self.context.on("request", lambda one: None if one.url.startswith(own) else self.problems.append(one.url))
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.problems.append(f"script {error}"))
        self.page.on("dialog", lambda dialog: self.problems.append(f"dialog {dialog.message}"))
        self.page.on("console", lambda m: self.problems.append(m.text) if "Content Security Policy" in m.text else None)
        self.page.goto(self.host.url)
        self.page.wait_for_selector("body[data-ready]")

    def end(self) -> None:
        self.context.close()
        self.host.stop()


@pytest.fixture(scope="module")
def opened(browser, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """The page of one model for all tests of this file: a browser takes seconds to make ready what computes."""
    folder = tmp_path_factory.mktemp("page")
    spec = InputSpec(size=32, fit="crop", interpolation="bicubic")
    visit = Visit(browser, tiny_bundle(folder / "tiny", input=spec, name=HOSTILE), folder / "out", runtime)
    yield visit
    visit.end()


@pytest.fixture
def visit(opened: Visit) -> Iterator[Visit]:
    """The page without cards; afterwards nothing foreign was asked for, no script failed, no rule was broken."""
    opened.page.evaluate("document.querySelectorAll('.card .close').forEach((button) => button.click())")
    yield opened
    assert opened.problems == []


def wait_for(page, selector: str, count: int) -> None:
    from playwright.sync_api import expect  # its own wait evaluates text, which the page's rules forbid

    expect(page.locator(selector)).to_have_count(count, timeout=60_000)


def answers(page, pictures: list[Path]) -> dict[str, dict[str, str]]:
    """What the page says about each file, by name."""
    page.set_input_files("input[type=file]", [str(path) for path in pictures])
    wait_for(page, ".card.done, .card.failed", len(pictures))
    found = page.eval_on_selector_all(".card", "all => all.map(one => [one.getAttribute('aria-label'), {...one.dataset}])")
    return dict(found)


def photographs(folder: Path, count: int) -> list[Path]:
    """Drawn pictures of many sizes: JPEG (some turned by their EXIF), PNG (some half transparent), WEBP."""
    rng = np.random.default_rng(7)
    names, found = list(COLOURS), []
    for number in range(count):
        size = (int(rng.integers(40, 700)), int(rng.integers(40, 700)))
        picture = drawn(number, size, COLOURS[names[number % 4]])
        kind, options = ("JPEG", {"quality": 95, "subsampling": 0}), {}
        if number % 5 == 1:
            exif = Image.Exif()
            exif[0x0112] = int(rng.integers(2, 9))
            options = {"exif": exif}
        elif number % 5 == 2:
            kind = ("PNG", {})
        elif number % 5 == 3:
            kind = ("PNG", {})
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        elif number % 5 == 4:
            kind = ("WEBP", {"lossless": True})
        path = folder / f"{number}.{kind[0].lower()}"
        path.write_bytes(encoded(picture, kind[0], **kind[1], **options))
        found.append(path)
    return found


def test_it_answers_as_predict_does(visit: Visit, tmp_path: Path):
    pictures = photographs(tmp_path, 50)
    said, model = answers(visit.page, pictures), load(visit.bundle)
    same, differences = 0, []
    for path in pictures:
        ours, its = model.predict(path), said[path.name]
        same += ours.labels[0].label == its["label"] and " ".join(ours.flags) == its["flags"]
        scores = {one.label: one.score or 0.0 for one in ours.labels}
        differences.append(abs(scores[its["label"]] - float(its["score"])))
    assert same >= 0.98 * len(pictures)
    assert max(differences) < 0.02  # browsers and Pillow decode JPEG alike to a grey level or two
    assert np.median(differences) < 0.002


CASES = [
    ((7, 5), "crop", "bicubic", ()),
    ((133, 60), "crop", "bilinear", ()),
    ((45, 160), "crop", "bicubic", ("white-balance", "contrast:1.5")),
    ((133, 60), "pad", "bilinear", ("denoise", "grey:0.5", "brightness:1.2")),
    ((45, 160), "pad", "bicubic", ()),
    ((48, 48), "squash", "box", ()),
    ((133, 60), "squash", "box", ()),
]


@pytest.mark.parametrize(("size", "fit", "interpolation", "steps"), CASES)
def test_pictures_are_prepared_alike(visit: Visit, size, fit, interpolation, steps):
    spec = InputSpec(size=48, fit=fit, crop=0.875, interpolation=interpolation, steps=steps)
    picture = np.asarray(drawn(3, size, COLOURS["green"]).convert("RGBA"))
    its = visit.page.evaluate(
        """async ([text, width, height, spec]) => {
            const { fit } = await import(new URL("fit.js", document.baseURI));
            const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            return btoa(String.fromCharCode(...fit({data, width, height}, spec)));
        }""",
        [base64.b64encode(picture.tobytes()).decode(), *size, spec.model_dump(mode="json")],
    )
    ours = pixels.fit(np.ascontiguousarray(picture[..., :3]), spec).reshape(-1).astype(int)
    apart = np.abs(ours - np.frombuffer(base64.b64decode(its), np.uint8))
    # Pillow takes the two passes of a tall picture in another order: a grey level here and there, which contrast makes larger
    assert apart.max() <= (3 if steps else 1)
    assert apart.mean() < 0.05


@pytest.mark.parametrize("layout", ["sightline", "yolov5", "yolov8", "yolov10"])
def test_detectors_are_read_as_predict_reads_them(visit: Visit, tmp_path: Path, layout: str):
    """The graph is run here, its outputs are read in the page."""
    bundle = read_bundle(finder_bundle(tmp_path / "finder", layout=layout))
    picture = np.asarray(scene({"red": (20, 30, 60, 70), "blue": (100, 10, 140, 90)}))
    ours = load(bundle.path).find(picture)
    feed, run = parity.reference(bundle)
    outputs = run(feed(pixels.fit(picture, bundle.card.input)))
    given = {name: [value.dtype.name, value.reshape(-1).tolist()] for name, value in outputs.items()}
    facts = web.facts(bundle.card, 0)
    its = visit.page.evaluate(
        """async ([given, facts, size]) => {
            const { placed } = await import(new URL("decide.js", document.baseURI));
            const whole = (values) => BigInt64Array.from(values.map(BigInt));
            const array = ([kind, values]) => kind === "int64" ? whole(values) : Float32Array.from(values);
            const outputs = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, array(value)]));
            return placed(outputs, Object.keys(outputs), facts, size).objects;
        }""",
        [given, facts, [160, 120]],
    )
    assert len(its) == len(ours.scores) > 0
    assert [one["label"] for one in its] == [bundle.card.classes[label] for label in ours.labels]
    assert np.abs(np.array([one["box"] for one in its]) - ours.boxes).max() < 1e-3
    assert np.abs(np.array([one["score"] for one in its]) - ours.scores).max() < 1e-6


def test_the_camera_tells_frames_a_second_and_keeps_a_picture(visit: Visit):
    page = visit.page
    page.get_by_role("button", name="Use the camera").click()
    page.wait_for_selector("dialog[data-rate]")
    assert float(page.get_attribute("dialog", "data-rate")) > 0
    assert "frames a second" in page.locator(".rate").inner_text()
    assert page.locator("dialog .bar").count() == 3
    page.get_by_role("button", name="Keep this picture").click()
    page.wait_for_selector(".card.done")
    assert page.locator("dialog").count() == 0


def test_no_camera_stays_on_and_a_camera_that_fails_is_said(visit: Visit):
    page = visit.page
    page.evaluate("""() => {
        const media = navigator.mediaDevices, devices = media.enumerateDevices.bind(media);
        const opened = media.getUserMedia.bind(media);
        window.tracks = [];
        media.enumerateDevices = async () => [...await devices(), {kind: "videoinput"}, {kind: "videoinput"}];
        media.getUserMedia = async (wish) => {
            if (window.held) throw new DOMException("", "NotReadableError");
            const stream = await opened(wish);
            window.tracks.push(...stream.getTracks());
            return stream;
        };
    }""")
    live = "() => window.tracks.filter((one) => one.readyState === 'live').length"
    page.get_by_role("button", name="Use the camera").click()
    other = page.get_by_role("button", name="Other camera")
    page.wait_for_selector("dialog[data-rate]")
    other.evaluate("button => { button.click(); button.click(); }")
    page.wait_for_function("() => window.tracks.length === 2 && !document.querySelector('.camera .first').disabled")
    assert page.evaluate(live) == 1
    page.evaluate("window.held = true")
    other.click()
    page.get_by_text("Another program is using the camera.").wait_for()
    assert page.evaluate(live) == 0
    page.evaluate("window.held = false")
    other.click()
    page.wait_for_function("() => document.querySelector('.rate').textContent.includes('frames a second')")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("dialog", state="detached")
    assert page.evaluate(live) == 0


def test_drop_paste_and_a_broken_file(visit: Visit):
    page = visit.page
    assert page.title() == HOSTILE
    data = list(encoded(Image.new("RGB", (60, 60), COLOURS["green"])))
    transfer = """([bytes, name, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/jpeg"}));
        const options = {bubbles: true, cancelable: true};
        const event = kind === "drop" ? new DragEvent(kind, {...options, dataTransfer: data})
                                      : new ClipboardEvent(kind, {...options, clipboardData: data});
        document.querySelector(".drop").dispatchEvent(event);
    }"""
    for count, kind in enumerate(("drop", "paste"), 1):
        page.evaluate(transfer, [data, "a.jpg", kind])
        wait_for(page, ".done", count)
    page.evaluate(transfer, [[1, 2, 3], '<b onmouseover="alert(1)">x</b>.jpg', "drop"])
    failed = page.locator(".failed")
    failed.wait_for()
    assert '<b onmouseover="alert(1)">x</b>.jpg' in failed.inner_text()
    assert "This browser cannot open it" in failed.inner_text()


def test_narrow_and_dark(visit: Visit, tmp_path: Path):
    page = visit.page
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    answers(page, photographs(tmp_path, 2))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, ground[4:-1].split(","))) < 3 * 64


def test_without_network_after_the_first_visit(visit: Visit, tmp_path: Path):
    page, host = visit.page, visit.host
    asked = len(host.asked)
    assert {"/", "/model.onnx", "/ort.wasm", "/sw.js"} <= {path.split("?")[0] for path in host.asked}
    host.stop()
    page.reload()
    page.wait_for_selector("body[data-ready]")
    red = tmp_path / "red.png"
    red.write_bytes(encoded(Image.new("RGB", (60, 40), COLOURS["red"]), "PNG"))
    assert answers(page, [red])["red.png"]["label"] == "red"
    assert len(host.asked) == asked
    assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'answered', () => 'refused')") == "refused"
    broken = [one for one in visit.problems if "127.0.0.1:9" in one]
    assert any("Content Security Policy" in one for one in broken)
    visit.problems[:] = [one for one in visit.problems if one not in broken]


@pytest.mark.slow
def test_objects_are_drawn_over_the_picture(browser, runtime: Path, tmp_path: Path):
    picture = tmp_path / "scene.png"
    scene({"red": (20, 30, 60, 70), "blue": (100, 10, 140, 90)}).save(picture)
    visit = Visit(browser, finder_bundle(tmp_path / "finder"), tmp_path / "out", runtime)
    ours = load(visit.bundle).predict(picture).labels
    its = [one for one in json.loads(answers(visit.page, [picture])["scene.png"]["objects"]) if one["score"] >= 0.5]
    assert [one["label"] for one in its] == [one.label for one in ours]
    assert visit.page.locator(".overlay .box").count() == len(ours) > 0
    visit.end()
    assert visit.problems == []
