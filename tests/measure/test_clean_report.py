"""The page of clean: every kind with its pictures, limits said, safe whatever names hold."""

from __future__ import annotations

from html.parser import HTMLParser

from pictures import drawn, pixels
from sightline.measure.clean_report import CleanStory, Kind, Shown, clean_page
from sightline.measure.thumbnails import thumbnail
from sightline.types import Finding

SMALL = thumbnail(pixels(drawn(1)))


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def kind(name: str = "leak", *shown: Shown, number: int = 0) -> Kind:
    return Kind(name, "shared by training and test", "left out", number or len(shown), shown)


def leak(left: str = "train/a.jpg", right: str = "test/b.jpg") -> Shown:
    said = f"train and test share a picture: {left} and {right}"
    finding = Finding(kind="leak", items=(left, right), message=said)
    return Shown(finding, ((left, SMALL), (right, SMALL)))


def test_nothing_found() -> None:
    page = Page(clean_page(CleanStory("photos", 12, ())))
    assert "12 pictures looked at: nothing to mend" in page.text
    assert not [tag for tag, _ in page.tags if tag in ("table", "img")]


def test_pictures_of_a_finding_stand_side_by_side() -> None:
    page = Page(clean_page(CleanStory("photos", 12, (kind("leak", leak()),), done=("11 pictures are in the folder new",))))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [image["alt"] for image in images] == ["train/a.jpg", "test/b.jpg"]
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in images)
    assert ("ul", {"class": "gallery twins"}) in page.tags
    assert "11 pictures are in the folder new" in page.text
    assert "train and test share a picture" in page.text
    assert ("a", {"href": "#leak"}) in page.tags


def test_what_is_not_shown_is_counted() -> None:
    many = Finding(kind="near_duplicate", items=tuple(f"{n}.jpg" for n in range(9)), message="9 pictures look the same: 0.jpg")
    shown = Shown(many, tuple((f"{n}.jpg", SMALL) for n in range(4)))
    page = Page(clean_page(CleanStory("photos", 12, (kind("near_duplicate", shown, number=40),))))
    assert "and 5 more" in page.text
    assert "And 39 more of this kind" in page.text


def test_findings_without_pictures_are_lines() -> None:
    plain = Shown(Finding(kind="imbalance", items=(), message="'cat' has 90 pictures and 'dog' 2", fix="add pictures"))
    page = Page(clean_page(CleanStory("photos", 12, (kind("imbalance", plain),))))
    assert "'cat' has 90 pictures and 'dog' 2" in page.text
    assert not [tag for tag, _ in page.tags if tag == "img"]


def test_a_picture_that_cannot_be_read_is_a_grey_box() -> None:
    gone = Shown(Finding(kind="unreadable", items=("x.jpg",), message="x.jpg: cut off"), (("x.jpg", b""),))
    page = Page(clean_page(CleanStory("photos", 12, (kind("unreadable", gone),))))
    assert ("div", {"class": "missing", "role": "img", "aria-label": "x.jpg"}) in page.tags
    assert "cut off" in page.text


def test_names_cannot_break_the_page() -> None:
    evil = "<script>alert(1)</script>\u202e\x00.jpg"
    text = clean_page(CleanStory(evil, 1, (kind("leak", leak(evil, '"><img src=x onerror=y>')),), done=(evil,)))
    assert "<script>alert" not in text
    assert "\x00" not in text
    assert "\u202e" not in text
    page = Page(text)
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    assert all((attributes["src"] or "").startswith("data:") for tag, attributes in page.tags if tag == "img")
