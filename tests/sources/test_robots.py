"""robots.txt: RFC 9309 with its examples, and files that try to hurt."""

from __future__ import annotations

import time

import pytest

from sightline.sources.robots import read_rules


def allowed(text: str, target: str) -> bool:
    return read_rules(text.encode()).allow(target)


def test_nothing_said_allows_everything():
    for text in ("", "nonsense", "Disallow: /", "User-agent: *\nDisallow:", "User-agent: other\nDisallow: /"):
        assert allowed(text, "/a.jpg")


def test_our_own_group_counts_alone():
    text = "User-agent: *\nDisallow: /\n\nUser-agent: other\nUser-agent: SightLine # us\nDisallow: /private\nCrawl-delay: 2.5\n"
    assert allowed(text, "/a.jpg")
    assert not allowed(text, "/private/a.jpg")
    assert read_rules(text.encode()).delay == 2.5
    assert not read_rules(
        b"User-agent: sightline\nDisallow: /a\nUser-agent: *\nDisallow: /\nUser-agent: sightline\nDisallow: /b"
    ).allow("/b")


def test_an_empty_group_of_ours_frees_us():
    assert allowed("User-agent: sightline\nDisallow:\n\nUser-agent: *\nDisallow: /", "/a")


@pytest.mark.parametrize(
    ("rules", "target", "verdict"),
    [
        ("Disallow: /", "/a", False),
        ("Disallow: /", "/robots.txt", True),
        ("Disallow: /a\nAllow: /a/b", "/a/b/c.jpg", True),  # the longest match wins, in any order
        ("Allow: /a/b\nDisallow: /a", "/a/b/c.jpg", True),
        ("Allow: /a\nDisallow: /a/b", "/a/b/c.jpg", False),
        ("Disallow: /a\nAllow: /a", "/a", True),  # a tie allows
        ("Disallow: /*.gif$", "/x/y.gif", False),
        ("Disallow: /*.gif$", "/x/y.gif?a", True),
        ("Disallow: /*/private/*", "/x/private/y", False),
        ("Disallow: /*/private/*", "/private/y", True),
        ("Disallow: /*?size=", "/a?size=1", False),
        ("Disallow: /a%20b", "/a%20b/c", False),
        ("Disallow: /%C3%BC", "/%c3%bc", False),
        ("Disallow: *ab*ab$", "/xab", True),
        ("Disallow: /a$", "/a", False),
        ("Disallow: /a$", "/ab", True),
    ],
)
def test_paths(rules: str, target: str, verdict: bool):
    assert allowed(f"User-agent: *\n{rules}", target) is verdict


def test_delays_have_an_end():
    assert read_rules(b"User-agent: *\nCrawl-delay: 86400").delay == 60.0
    for word in ("-1", "soon", "nan", ""):
        assert read_rules(f"User-agent: *\nCrawl-delay: {word}".encode()).delay == 0.0


def test_hostile_files():
    stars = "User-agent: *\nDisallow: /" + "*a" * 10_000 + "b$\n"
    began = time.process_time()
    assert allowed(stars, "/" + "a" * 20_000)
    assert time.process_time() - began < 5  # a pattern matcher that goes back would never end
    assert read_rules(b"\xff\xfe\x00User-agent: *\r\nDisallow: /\x00") is not None
    assert read_rules(b"User-agent: *\nDisallow: /\n" * 100_000).allow("/") is False
