"""Which pictures a page shows, and what it says of their licence and author."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sightline.sources.page import pictures

BASE = "https://host.example/gallery/index.html"


def urls(html: str) -> list[str]:
    return [one.url.removeprefix("https://host.example/gallery/") for one in pictures(html, BASE)]


def test_pictures():
    html = """<head><meta property="og:image" content="og.jpg"></head><img src=a.jpg><IMG SRC='/b.png' alt=x>
    <a href="c.JPEG?x=1&amp;y=2">big</a><a href="page.html">no</a><img src="data:image/png;base64,AA=="><img src="a.jpg#top">
    <img src="low.jpg" srcset="m.jpg 640w, l.jpg 1280w , s.jpg 320w"><img srcset="d1.jpg, d2.jpg 2x" src="d1.jpg">
    <picture><source srcset="p.webp 100w, q.webp 200w"><img src="r.jpg"></picture><img data-src="late.jpg" src="blank.gif">
    <img src="javascript:alert(1)"><img src="ftp://x/y.jpg"><img src=""><img><a href="http://[bad">x</a>
    <img src="//other.example/o.jpg"><img srcset="data:image/gif;base64,AAAA 1w, real.jpg 2w">"""
    assert urls(html) == [
        "og.jpg", "a.jpg", "https://host.example/b.png", "c.JPEG?x=1&y=2", "l.jpg", "d2.jpg", "q.webp", "r.jpg", "late.jpg",
        "https://other.example/o.jpg", "real.jpg",
    ]  # fmt: skip


def test_base_of_the_page():
    assert pictures('<base href="https://cdn.example/x/"><img src="a.jpg">', BASE)[0].url == "https://cdn.example/x/a.jpg"


def test_licence_of_the_page():
    for said in (
        '<link rel="license" href="https://creativecommons.org/licenses/by/4.0/">',
        '<a rel="nofollow license" href="https://creativecommons.org/licenses/by/4.0/">CC BY</a>',
        '<a href="https://creativecommons.org/licenses/by/4.0/">CC BY</a>',
        '<script type="application/ld+json">{"@type": "WebPage", "license": "https://creativecommons.org/licenses/by/4.0/"}</script>',
    ):
        (one,) = pictures(f'{said}<meta name="author" content="Ana"><img src="a.jpg">', BASE)
        assert one.facts.licence == "https://creativecommons.org/licenses/by/4.0/"
        assert (one.facts.author, one.facts.source) == ("Ana", "https://host.example/gallery/a.jpg")


def test_licence_of_single_pictures():
    html = """<link rel=license href="/terms"><script type="application/ld+json">{"@graph": [{"@type": ["ImageObject"],
    "contentUrl": "a.jpg", "license": {"@id": "https://creativecommons.org/publicdomain/zero/1.0/"},
    "creator": [{"@type": "Person", "name": "Ben"}]}]}</script><img src="a.jpg"><img src="b.jpg">"""
    a, b = pictures(html, BASE)
    assert (a.facts.licence, a.facts.author) == ("https://creativecommons.org/publicdomain/zero/1.0/", "Ben")
    assert (b.facts.licence, b.facts.author) == ("https://host.example/terms", "")


def test_nonsense_stays_harmless():
    assert pictures("", BASE) == []
    assert pictures('<script type="application/ld+json">{nonsense</script><img src=a.jpg>', BASE)
    assert pictures('<script type="application/ld+json">' + "[" * 50_000 + "</script><img src=a.jpg>", BASE)
    assert len(pictures("".join(f"<img src={n}.jpg>" for n in range(20_000)), BASE)) == 10_000


@given(st.text(alphabet="<>/='\" \nimgsrcahefsetlink&;#x!-[]{}\0", max_size=300))
def test_any_text(html: str):
    pictures(html, BASE)
