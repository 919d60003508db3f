"""Make the docs' pictures from what `sightline demo` left behind: test report, page with a sign and a stranger; and a sheet.

    .venv/bin/python scripts/pictures.py sightline-demo

Needs Chromium and the dev environment. Knows neither how the demo trained nor how good it is: it shows what is there.
"""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from PIL import Image

OUT = Path(__file__).parents[1] / "docs/pictures"
SIGHTLINE = str(Path(sys.executable).with_name("sightline"))
CHROMIUM = "/usr/bin/chromium"


def save(name: str, screenshot: bytes, width: int) -> None:
    """Scale to `width` pixels and keep 256 colours: a picture of text stays sharp and small."""
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    height = round(picture.height * width / picture.width)
    small = picture.resize((width, height), Image.Resampling.LANCZOS).quantize(
        256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    small.save(OUT / name, optimize=True)


def report(browser, demo: Path, work: Path) -> None:
    test, model = demo / "road-signs/test", demo / "road-sign-model"
    command = [SIGHTLINE, "evaluate", str(test), "--model", str(model), "--report", str(work / "report")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    page = browser.new_page(viewport={"width": 1100, "height": 1450}, device_scale_factor=1.5)
    page.goto((work / "report/report.html").as_uri())
    save("report.png", page.screenshot(), 1100)


def stranger(work: Path) -> Path:
    """A picture of no road sign: stripes."""
    file = work / "stripes.png"
    picture = Image.new("RGB", (320, 320), (250, 240, 200))
    for x in range(0, 320, 54):
        picture.paste((90, 30, 120), (x, 0, x + 27, 320))
    picture.save(file)
    return file


def page(browser, demo: Path, work: Path) -> None:
    from sightline.data.roadsigns import draw_road_signs

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [SIGHTLINE, "serve", "--model", str(demo / "road-sign-model"), "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/health/ready", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        # larger than those of the training, to look at
        drawn = draw_road_signs(work / "signs", count=100, seed=7, size=320)
        sign = next((drawn / "test/pedestrian-crossing").iterdir())
        tab = browser.new_page(viewport={"width": 1000, "height": 700}, device_scale_factor=1.5)
        tab.goto(url)
        tab.wait_for_selector(".sl-drop")
        tab.set_input_files("input[type=file]", [str(sign), str(stranger(work))])
        tab.wait_for_selector(".sl-card:nth-child(2).sl-done")
        tab.get_by_role("button", name="Where did it look?").first.click()
        tab.wait_for_selector(".sl-heat")
        tab.wait_for_timeout(500)
        save("page.png", tab.screenshot(full_page=True), 1000)
    finally:
        server.terminate()
        server.wait(timeout=30)


def changes(work: Path) -> None:
    """The sheet that `sightline augment --show` draws."""
    from sightline.data.roadsigns import draw_road_signs

    drawn = draw_road_signs(work / "more-signs", count=60, seed=3, size=160)
    command = [SIGHTLINE, "augment", str(drawn / "train"), "--show", str(work / "sheet.png"), "--pictures", "3", "--seed", "2"]
    subprocess.run([*command, "--recipe", "medium,perspective,blur:0.02,erase"], check=True, stdout=subprocess.DEVNULL)
    save("augment.png", (work / "sheet.png").read_bytes(), 1000)


def main() -> None:
    from playwright.sync_api import sync_playwright

    demo = Path(sys.argv[1])
    OUT.mkdir(exist_ok=True)
    with sync_playwright() as play, tempfile.TemporaryDirectory() as work:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        report(browser, demo, Path(work))
        page(browser, demo, Path(work))
        changes(Path(work))
        browser.close()


if __name__ == "__main__":
    main()
