"""The page in a browser: what a newcomer does, and what must never happen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from bundles import tiny_card, tiny_onnx
from finders import finder_bundle, scene
from pictures import COLOURS, drawn, encoded
from sightline.runtime.bundle import write_bundle
from sightline.web.keys import KeyStore

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = ('<img src=x onerror="alert(1)">', "javascript:alert(2)//", '"><script>alert(3)</script>')

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium"),
]


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
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
            ],
        )
        yield opened
        opened.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., object]]:
    """`visit(url)`: a page; at the end nothing foreign was asked for, nothing blocked, no dialog opened, no script failed."""
    problems: list[str] = []
    contexts = []

    def open_page(url: str, path: str = "/", wait: str = ".sl-drop", **options: object):
        context = browser.new_context(viewport={"width": 1000, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        own = (url, url.replace("http", "ws"), "blob:", "data:")
        for kind in ("request", "websocket"):
            page.on(kind, lambda one: None if one.url.startswith(own) else problems.append(f"foreign {one.url}"))
        page.on("pageerror", lambda error: problems.append(f"script {error}"))
        page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        page.goto(url + path)
        page.wait_for_selector(wait)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, picture, kind in (
        ("red.jpg", Image.new("RGB", (120, 90), COLOURS["red"]), "JPEG"),
        ("white.png", Image.new("RGB", (120, 90), (255, 255, 255)), "PNG"),
        ("blue.tiff", drawn(1, colour=COLOURS["blue"]), "TIFF"),
    ):
        found[name] = tmp_path / name
        found[name].write_bytes(encoded(picture, kind))
    return found


def test_a_newcomer_tries_the_model(serving, visit, pictures: dict[str, Path], tmp_path: Path):
    page = visit(serving.url)
    page.get_by_text("What tiny can recognise").wait_for()
    page.screenshot(path=tmp_path / "before.png")
    page.set_input_files("input[type=file]", [str(path) for path in pictures.values()])
    page.wait_for_selector(".sl-card:nth-child(3).sl-done")
    cards = page.locator(".sl-card")
    assert cards.count() == 3

    red = cards.nth(0)
    assert red.locator(".sl-title").inner_text().startswith("red")
    assert red.locator(".sl-bar").count() == 3
    assert "Unlike anything" not in red.inner_text()
    assert "Unlike anything it was trained on" in cards.nth(1).inner_text()  # white is none of the colours
    page.wait_for_function("document.querySelectorAll('.sl-card')[2].querySelector('img').naturalWidth > 0")  # TIFF, by preview

    red.get_by_role("button", name="Where did it look?").click()
    red.locator(".sl-heat").wait_for()
    page.screenshot(path=tmp_path / "after.png", full_page=True)
    red.get_by_role("button", name="Where did it look?").press("Enter")
    assert red.locator(".sl-heat").count() == 0
    red.get_by_role("button", name="Remove red.jpg").click()
    assert cards.count() == 2


def test_drop_paste_camera_and_a_broken_file(serving, visit):
    page = visit(serving.url, permissions=["camera"])
    page.get_by_text("What tiny can recognise").wait_for()
    data = list(encoded(Image.new("RGB", (60, 60), COLOURS["green"])))
    transfer = """([bytes, name, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/jpeg"}));
        const options = {bubbles: true, cancelable: true};
        const event = kind === "drop" ? new DragEvent(kind, {...options, dataTransfer: data})
                                      : new ClipboardEvent(kind, {...options, clipboardData: data});
        document.querySelector(".sl-drop").dispatchEvent(event);
    }"""
    for count, kind in enumerate(("drop", "paste"), 1):
        page.evaluate(transfer, [data, "a.jpg", kind])
        page.wait_for_function(f"document.querySelectorAll('.sl-done').length === {count}")
    page.evaluate(transfer, [[1, 2, 3], '<b onmouseover="alert(1)">x</b>.jpg', "drop"])
    failed = page.locator(".sl-failed")
    failed.wait_for()
    assert '<b onmouseover="alert(1)">x</b>.jpg' in failed.inner_text()
    assert "could not be used" in failed.inner_text()

    page.get_by_role("button", name="Use the camera").press("Enter")
    shoot = page.get_by_role("button", name="Take the picture")
    page.wait_for_function("!document.querySelector('dialog .sl-first').disabled")
    shoot.click()
    page.wait_for_function("document.querySelectorAll('.sl-done').length === 3")
    assert page.locator("dialog").count() == 0


def test_hostile_labels_stay_text(start, tmp_path: Path, visit, pictures: dict[str, Path]):
    import onnx

    graph = onnx.load_from_string(tiny_onnx(tiny_card()))
    onnx.helper.set_model_props(graph, {"sightline.classes": json.dumps(HOSTILE), "sightline.task": "multiclass"})
    card = tiny_card(name="</script><script>alert(4)</script>").model_copy(update={"classes": HOSTILE})
    model = write_bundle(tmp_path / "hostile", card, {"model.onnx": graph.SerializeToString()})
    page = visit(start(model).url)
    page.get_by_text("can recognise").wait_for()
    page.set_input_files("input[type=file]", str(pictures["red.jpg"]))
    page.wait_for_selector(".sl-done")
    page.get_by_role("button", name="Where did it look?").click()
    page.wait_for_selector(".sl-heat")
    assert sorted(page.locator(".sl-label").all_inner_texts()) == sorted(HOSTILE)


def test_narrow_and_dark(serving, visit, pictures: dict[str, Path], tmp_path: Path):
    page = visit(serving.url, color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    page.set_input_files("input[type=file]", [str(pictures["red.jpg"]), str(pictures["white.png"])])
    page.wait_for_function("document.querySelectorAll('.sl-done').length === 2")
    page.screenshot(path=tmp_path / "narrow.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, ground[4:-1].split(","))) < 3 * 64


def test_the_docs_page_lists_every_route(serving, visit):
    page = visit(serving.url, path="/docs", wait=".sl-route")
    assert page.get_by_text("/v1/predict", exact=True).count() == 1
    assert page.locator(".sl-route").count() >= 10


def test_the_page_in_a_process_of_its_own(start, bundle: Path, visit, pictures: dict[str, Path]):
    rest = start(bundle, "--no-pages")
    page = visit(start("--pages-for", rest.url).url)
    page.get_by_text("What tiny can recognise").wait_for()
    page.set_input_files("input[type=file]", str(pictures["red.jpg"]))
    page.wait_for_selector(".sl-done")
    assert page.locator(".sl-title").inner_text().startswith("red")


def test_a_server_on_the_network_asks_for_the_key_once(start, bundle: Path, visit, pictures: dict[str, Path], tmp_path: Path):
    secret = KeyStore(tmp_path / "keys.json").new("browser")
    page = visit(start(bundle, "--host", "0.0.0.0").url, wait="#key")
    page.fill("#key", "sl_not_a_key")
    page.press("#key", "Enter")
    page.get_by_text("This key does not work here").wait_for()
    page.fill("#key", secret)
    page.press("#key", "Enter")
    page.wait_for_selector(".sl-drop")
    page.set_input_files("input[type=file]", str(pictures["red.jpg"]))
    page.wait_for_selector(".sl-done")
    assert secret not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_selector("#key")


def test_objects_are_drawn_over_the_picture(start, tmp_path: Path, visit):
    server = start(finder_bundle(tmp_path / "finder"))
    places = {"red": (20, 30, 60, 70), "blue": (100, 10, 140, 90)}
    for name, found in (("street.png", places), ("street.tiff", places), ("empty.png", {})):
        (tmp_path / name).write_bytes(encoded(scene(found), name.rpartition(".")[2].upper()))
    page = visit(server.url)
    page.get_by_text("What finder can find").wait_for()
    page.set_input_files("input[type=file]", [str(tmp_path / name) for name in ("street.png", "street.tiff", "empty.png")])
    page.wait_for_selector(".sl-card:nth-child(3).sl-done")
    page.wait_for_function("[...document.querySelectorAll('.sl-card img')].every((one) => one.naturalWidth > 0)")
    for number in (0, 1):
        card = page.locator(".sl-card").nth(number)
        assert card.locator(".sl-title").inner_text() in ("1 red, 1 blue", "1 blue, 1 red")
        image, box = card.locator("img").bounding_box(), card.locator(".sl-box").filter(has_text="red").bounding_box()
        scale = image["width"] / 160
        assert abs(box["x"] - image["x"] - 20 * scale) < 3 * scale
        assert abs(box["width"] - 40 * scale) < 4 * scale
    page.locator(".sl-found li").first.hover()
    assert page.locator(".sl-lit").count() == 1
    page.screenshot(path=tmp_path / "objects.png", full_page=True)
    assert page.locator(".sl-card").nth(2).locator(".sl-title").inner_text() == "Nothing found"
