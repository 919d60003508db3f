"""The report: complete when everything is given, silent about what is not, safe with hostile names, and loading nothing."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import drawn, encoded, pixels
from sightline.errors import StorageError
from sightline.measure import markup, thumbnails
from sightline.measure.calibration import reliability
from sightline.measure.learning import learning_curve
from sightline.measure.report import SECTIONS, page, write_report
from sightline.measure.report_data import Mistake, Pair, ReportData, Sight
from sightline.measure.scores import classification_scores
from sightline.types import Card, ErrorInfo, Failure, Finding, InputSpec, Parity, Recipe, Score, Task, Unknown

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&\x00\udcff\u202egpj"
LOADING = {"src", "href", "srcset", "action", "data", "poster", "formaction", "background", "xlink:href"}


class Reader(HTMLParser):
    """What a browser would make of the page: tags, attributes, words, and headings of tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text, self.open = "", [""]
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if self.open[-1] not in {"style", "script"}:
            self.text += data


def card(classes: tuple[str, ...], task: Task = "multiclass", **more: object) -> Card:
    return Card(
        id="0" * 16,
        name="garments",
        task=task,
        classes=classes,
        input=InputSpec(size=224, fit="pad"),
        unknown=Unknown(threshold=2.0, false_alarm_rate=0.048, n=120),
        unsure_below=0.47,
        recipe=Recipe(size="small", way="probe", why="No GPU.", backbone="net", weights="none", seed=0, values={"C": 0.003}),
        parity=Parity(pictures=100, agreement=1.0, largest_difference=1e-6),
        limits=("Night pictures.",),
        dataset={"name": "wardrobe", "pictures": {"train": 30}},
        baselines={"majority class": Score(value=0.2, low=0.1, high=0.3, n=60)},
        **more,
    )


def scored(classes: tuple[str, ...], task: Task = "multiclass", positive: str | None = None):
    rng, c = np.random.default_rng(0), len(classes)
    truth = np.arange(max(60, 2 * c)) % c
    logits = rng.normal(size=(len(truth), c)) + 2 * np.eye(c)[truth]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if task == "multilabel":
        truth, chances = np.eye(c, dtype=np.int64)[truth], 1 / (1 + np.exp(-logits + 1))
    return truth, chances, classification_scores(truth, chances, task, classes, positive=positive)


def everything(
    classes: tuple[str, ...] = ("hat", "dress", "shoe"), name: str = "a.jpg", task: Task = "multiclass"
) -> ReportData:
    positive = classes[0] if task == "binary" else None
    truth, chances, scores = scored(classes, task, positive)
    small = encoded(drawn(1))
    return ReportData(
        title=f"Garments {name}",
        card=card(classes, task, positive=positive),
        scores=scores,
        tested_on="60 validation pictures",
        train_scores=scores.overall,
        history=tuple(
            {"number": i, "train_loss": 2 / i, "val_loss": 2.1 / i, "val_accuracy": 1 - 0.5 / i} for i in range(1, 6)
        ),
        reliability=reliability(truth, chances, task),
        mistakes=(Mistake(small, name, classes[0], classes[1], 0.93),),
        curve=learning_curve([(15, 0.6), (30, 0.7), (60, 0.78)]),
        diagnosis=("It overfits.",),
        findings=(Finding(kind="leak", items=(name,), message=f"leak of {name}", fix="Split again.", severity="error"),),
        pairs=(Pair(small, name, small, f"test/{name}", "hat in both"),),
        sights=(Sight(picture=encoded(drawn(3)), name="a.jpg", caption="edges"),),
        failures=(Failure(picture=name, error=ErrorInfo(code="picture_unreadable", message="cut off")),),
        created="2026-01-02T03:04:05Z",
    )


def test_every_section_is_there_when_its_data_are():
    html = page(everything())
    for name, heading, _ in SECTIONS:
        assert f'<section id="{name}"><h2>{heading}</h2>' in html
        assert f'href="#{name}"' in html
    text = Reader(html).text.replace("\u00a0", " ")
    for said in (
        "of 100 new pictures",
        "95 % sure:",
        "always the most frequent class",
        "It overfits.",
        "hat taken for",
        "93 % sure",
        "Of 100 pictures of the right kind 5 are flagged",
        "flagged unsure",
        "below 47 %",
        "With 120 pictures",
        "Split again.",
        "Look-alikes between training and test",
        "cut off",
        "calibration error",
        "answers like the trained model",
        "No GPU.",
        "Night pictures.",
    ):
        assert said in text, said


def test_nothing_given_is_nothing_shown():
    html = page(ReportData(title="Empty"))
    assert "<section" not in html
    assert "<nav" not in html
    assert "Empty" in html


@pytest.mark.parametrize("missing", ["scores", "history", "mistakes", "reliability", "curve", "findings", "pairs", "card"])
def test_each_part_may_be_missing(missing: str):
    from dataclasses import replace

    empty = None if missing in {"scores", "curve", "card"} else ()
    assert "</html>" in page(replace(everything(), **{missing: empty}))


def test_the_page_loads_nothing():
    html = page(everything())
    reader = Reader(html)
    for tag, name, value in reader.attributes:
        if name in LOADING:
            assert value.startswith(("data:image/jpeg;base64,", "#")), (tag, name, value[:60])
        assert not name.startswith("on"), (tag, name)
        assert name != "style", "inline styles are forbidden by the page's own policy"
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html).replace("http-equiv", "")
    assert not re.search(r"url\(|@import", html)
    assert not set(reader.tags) & {"link", "iframe", "object", "embed", "base", "form", "video", "audio"}
    policy = next(
        value for tag, name, value in reader.attributes if tag == "meta" and name == "content" and "default-src" in value
    )
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert reader.tags.count("script") == 1


def test_the_policy_allows_exactly_the_pages_own_script_and_style():
    import base64
    import hashlib

    html = page(everything())
    for tag in ("script", "style"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", html, re.S)
        assert inside
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in html


def test_hostile_names_stay_words(tmp_path: Path):
    html = write_report(tmp_path, everything((HOSTILE, "b", "c"), HOSTILE)).read_text("utf-8")
    reader = Reader(html)
    assert reader.tags.count("script") == 1
    assert not [one for one in reader.attributes if one[1].startswith("on")]
    assert "<script>alert(1)</script>" in reader.text
    assert not re.search("[\x00\u202e]", html)
    assert all(value.startswith("data:") for tag, name, value in reader.attributes if tag == "img" and name == "src")


@pytest.mark.parametrize(
    ("classes", "task"),
    [(("yes", "no"), "binary"), (("a", "b", "c"), "multilabel"), (tuple(f"kind {i}" for i in range(120)), "multiclass")],
)
def test_every_task_and_size(classes: tuple[str, ...], task: Task):
    html = page(everything(classes, task=task))
    text = Reader(html).text
    if task == "multilabel":
        assert "Every label right on" in text
        assert "labels that are there it finds" in text
        assert "Mean average precision, of 100" in text
        assert 'id="confusions"' not in html
    elif task == "binary":
        assert "Of 100 pictures of yes it finds" in text
    else:
        assert "What it mixes up" in text
        assert 'class="heat' not in html  # too many for a map


def test_a_thousand_classes_stay_a_page_of_a_few_megabytes():
    _, _, scores = scored(tuple(f"class {i}" for i in range(1000)))
    assert len(page(ReportData(title="many", scores=scores))) < 3_000_000


def test_pictures_carry_no_metadata():
    exif = Image.Exif()
    exif[0x010F] = "SECRET CAMERA"
    marked = encoded(drawn(2, (600, 300)), exif=exif, comment=b"SECRET NOTE")
    assert b"SECRET" in marked
    uri = thumbnails.data_uri(marked)
    import base64

    clean = base64.b64decode(uri.split(",")[1])
    assert b"SECRET" not in clean
    with Image.open(io.BytesIO(clean)) as small:
        assert small.size == (160, 80)
        assert not small.getexif()


def test_thumbnails_keep_the_whole_picture():
    with Image.open(io.BytesIO(thumbnails.thumbnail(pixels(drawn(1, (400, 200)))))) as small:
        assert small.size == (160, 80)


@pytest.mark.parametrize("broken", [b"", b"no picture", encoded(drawn(1))[:300], encoded(drawn(1), "GIF")])
def test_an_unreadable_thumbnail_is_a_grey_box(broken: bytes):
    html = page(ReportData(title="x", mistakes=(Mistake(broken, "a.jpg", "hat", "dress", 0.9),)))
    assert 'class="missing" role="img" aria-label="a.jpg: hat answered as dress"' in html


def test_accessible():
    reader = Reader(page(everything()))
    assert ("html", "lang", "en") in reader.attributes
    assert all(
        any(name == "alt" and value for tag, name, value in reader.attributes[i : i + 3] if tag == "img")
        for i, (tag, name, _) in enumerate(reader.attributes)
        if tag == "img" and name == "src"
    )
    assert reader.tags.count("caption") == reader.tags.count("table")
    assert {value for tag, name, value in reader.attributes if tag == "th" and name == "scope"} == {"col", "row"}
    assert reader.tags.count("h1") == 1


def test_written_whole_into_a_folder_or_a_file(tmp_path: Path):
    data = ReportData(title="x")
    assert write_report(tmp_path / "run", data) == tmp_path / "run" / "report.html"
    assert write_report(tmp_path / "other.html", data).name == "other.html"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other.html", "run"]


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        import errno

        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match="no space"):
        write_report(tmp_path, ReportData(title="x"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.8723, "87.2"), (1.0, "100"), (0.99996, "&gt; 99.9"), (0.0, "0"), (0.0001, "&lt; 0.1"), (0.5, "50")],
)
def test_percentages_never_round_to_certainty(value: float, shown: str):
    assert markup.percent(value) == f"{shown}\u00a0%"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.8723, "87"), (0.996, "99.6"), (0.99999, "99.9"), (1.0, "100"), (0.0, "0"), (0.0123, "1.2")]
)
def test_counts_of_a_hundred_never_round_to_certainty(value: float, shown: str):
    assert markup.of_hundred(value) == shown


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium")
def test_in_a_browser_nothing_is_asked_for_and_tables_sort(tmp_path: Path):
    from playwright.sync_api import sync_playwright

    file = write_report(tmp_path, everything((HOSTILE, "b", "c"), HOSTILE))
    troubles: list[str] = []
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        sheet = opened.new_page(viewport={"width": 390, "height": 800})
        sheet.on("console", lambda one: troubles.append(one.text))
        sheet.on("pageerror", lambda one: troubles.append(str(one)))
        sheet.on("dialog", lambda one: troubles.append(one.message))
        sheet.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else troubles.append(one.url))
        sheet.goto(file.as_uri())
        wide = sheet.evaluate("document.documentElement.scrollWidth")
        sheet.click("table.sortable th:nth-child(2) button")
        counts = sheet.locator("table.sortable tbody td:nth-child(2)").all_inner_texts()
        direction = sheet.get_attribute("table.sortable th:nth-child(2)", "aria-sort")
        opened.close()
    assert troubles == []
    assert wide <= 390  # nothing sticks out on a phone
    assert counts == sorted(counts, key=int)
    assert direction == "ascending"
