"""Web sources end to end against a site on this machine: pages, lists, single addresses, robots.txt, rate, resumption."""

from __future__ import annotations

import io
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pictures import drawn, encoded
from sightline.errors import AddressError, DatasetError, FetchError
from sightline.sources import About, Arrival, arrive
from sightline.sources.addresses import placed
from sightline.sources.fetch import Access
from sightline.sources.lanes import Lanes
from sightline.sources.manners import Manners
from sightline.types import Failure

JPEG = encoded(drawn(1))


def got(source: str, options) -> tuple[list[Arrival], list[Failure]]:
    found = list(arrive(source, options))
    return [one for one in found if isinstance(one, Arrival)], [one for one in found if isinstance(one, Failure)]


def test_a_page(site, options):
    site.pages["/p/"] = (
        200,
        {"Content-Type": "text/html; charset=latin-1"},
        b"""<link rel=license href=/cc><img src=a.jpg>
        <img src=/b.png><img src=gone.jpg><a href=/p/next.html>more</a>""",
    )
    site.pages |= {"/p/a.jpg": JPEG, "/b.png": encoded(drawn(2), "PNG")}
    told: list[About] = []
    arrivals, failures = got(f"{site.url}/p/", replace(options, about=told.append))
    assert [(one.name, one.data == JPEG) for one in arrivals] == [("a.jpg", True), ("b.png", False)]
    assert arrivals[0].facts.model_dump(exclude_defaults=True) == {"source": f"{site.url}/p/a.jpg", "licence": f"{site.url}/cc"}
    assert [failure.picture for failure in failures] == [f"{site.url}/p/gone.jpg"]
    assert failures[0].error.code == "fetch_failed"
    assert told[-1].total == 3
    assert site.hits[0] == "/robots.txt"
    assert site.hits.count("/robots.txt") == 1


def test_a_page_without_pictures(site, options):
    site.pages["/"] = 200, {"Content-Type": "text/html"}, b"<p>nothing"
    with pytest.raises(DatasetError, match="shows no pictures"):
        got(f"{site.url}/", options)


def test_robots_are_kept(site, options):
    site.pages |= {"/robots.txt": b"User-agent: *\nDisallow: /no/", "/a.jpg": JPEG, "/no/b.jpg": JPEG}
    site.pages["/"] = 200, {"Content-Type": "text/html"}, b"<img src=a.jpg><img src=no/b.jpg>"
    site.pages["/moved"] = 302, {"Location": "/no/b.jpg"}, b""
    arrivals, failures = got(f"{site.url}/", options)
    assert [one.name for one in arrivals] == ["a.jpg"]
    assert "robots.txt" in failures[0].error.message
    for path in ("/no/b.jpg", "/moved"):
        with pytest.raises(FetchError, match=r"robots\.txt"):
            got(site.url + path, options)
    assert "/no/b.jpg" not in site.hits


@pytest.mark.parametrize(("status", "fetched"), [(404, True), (403, True), (500, False)])
def test_robots_that_cannot_be_had(site, options, status: int, fetched: bool):
    site.pages |= {"/robots.txt": (status, {}, b""), "/a.jpg": JPEG}
    if fetched:
        assert got(f"{site.url}/a.jpg", options)[0]
    else:
        with pytest.raises(FetchError, match="nothing is fetched there"):
            got(f"{site.url}/a.jpg", options)


def test_a_host_is_given_time(site):
    site.pages["/robots.txt"] = b"User-agent: *\nCrawl-delay: 0.2"
    manners = Manners(1000.0, Access(allow_private=True))
    place = placed(f"{site.url}/a", any_port=True)
    began = time.monotonic()
    for _ in range(4):
        manners(place)
    assert time.monotonic() - began >= 0.6
    assert manners.ready("127.0.0.1") > time.monotonic()


def test_lanes_do_not_wait_for_a_slow_host():
    order: list[str] = []

    def work(name: str) -> str:
        if name.startswith("slow"):
            time.sleep(0.15)
        order.append(name)
        return name

    things = [*(f"slow{n}" for n in range(3)), *(f"quick{n}" for n in range(9))]
    lanes = Lanes(things, lambda name: name.rstrip("0123456789"), work, lambda _: 0.0)
    assert sorted(lanes.results()) == sorted(things)
    assert order[:9] == [f"quick{n}" for n in range(9)]  # and each lane in its order
    assert [name for name in order if name.startswith("slow")] == things[:3]


def test_lanes_tell_errors_and_stop():
    def broken(_: int) -> int:
        raise KeyError("a fault")

    with pytest.raises(KeyError):
        list(Lanes([1, 2], str, broken, lambda _: 0.0).results())
    done: list[int] = []
    lanes = Lanes(range(10_000), lambda n: str(n % 4), lambda n: done.append(n) or n, lambda _: 0.0)
    results = lanes.results()
    next(results)
    lanes.stop()
    time.sleep(0.05)
    assert len(done) < 100


def test_a_list_of_addresses(site, options, tmp_path: Path):
    site.pages |= {"/a.jpg": JPEG, "/pic?id=7": JPEG, "/page": (200, {"Content-Type": "text/html"}, b"<html>")}
    text = f"# pictures\n\n{site.url}/a.jpg\n{site.url}/a.jpg\n  {site.url}/pic?id=7\nnonsense\nhttp://127.0.0.1:1/x.jpg\n"
    (tmp_path / "list.txt").write_text(text)
    arrivals, failures = got(str(tmp_path / "list.txt"), options)
    assert sorted(one.name for one in arrivals) == ["a.jpg", "pic"]
    assert sorted(failure.picture for failure in failures) == ["http://127.0.0.1:1/x.jpg", "nonsense"]
    assert site.asked().count("/a.jpg") == 1


def test_what_came_home_is_not_asked_again(site, options, tmp_path: Path):
    site.pages |= {"/a.jpg": JPEG, "/b.jpg": JPEG}
    (tmp_path / "list.txt").write_text(f"{site.url}/a.jpg\n{site.url}/b.jpg\n")
    arrivals, _ = got(str(tmp_path / "list.txt"), replace(options, known=lambda url: url.endswith("a.jpg")))
    assert [one.name for one in arrivals] == ["b.jpg"]
    assert site.asked() == ["/b.jpg"]


def test_single_picture_archive_and_table(site, options):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("cat/a.jpg", JPEG)
        archive.writestr("dog/b.jpg", encoded(drawn(5)))
    site.pages |= {"/a.jpg": JPEG, "/all.zip": stream.getvalue(), "/t.csv": b"url,label\na.jpg,cat\n/etc/passwd,dog\n"}
    site.pages["/list"] = f"{site.url}/a.jpg".encode()
    assert [(one.name, one.facts.source) for one in got(f"{site.url}/a.jpg", options)[0]] == [("a.jpg", f"{site.url}/a.jpg")]
    arrivals, _ = got(f"{site.url}/all.zip", options)
    assert [(one.name, one.labels, one.facts.source) for one in arrivals] == [
        ("cat/a.jpg", ("cat",), f"{site.url}/all.zip"),
        ("dog/b.jpg", ("dog",), f"{site.url}/all.zip"),
    ]
    arrivals, failures = got(f"{site.url}/t.csv", options)
    assert [(one.name, one.labels) for one in arrivals] == [("a.jpg", ("cat",))]
    assert [failure.picture for failure in failures] == [f"{site.url}/etc/passwd"]  # an address there, never a file here
    assert [one.name for one in got(f"{site.url}/list", options)[0]] == ["a.jpg"]
    site.pages["/x"] = b"\x00\x01\x02"
    with pytest.raises(DatasetError, match="no picture, page, archive"):
        got(f"{site.url}/x", options)


def test_inside_is_refused_without_leave(site, options, tmp_path: Path):
    closed = replace(options, allow_private=False)
    site.pages["/a.jpg"] = JPEG
    with pytest.raises(AddressError) as caught:
        got(f"{site.url}/a.jpg", closed)
    assert "--allow-private" in caught.value.hint
    (tmp_path / "list.txt").write_text(f"{site.url}/a.jpg\nhttp://localhost:{site.port}/a.jpg\nfile:///etc/passwd\n")
    arrivals, failures = got(str(tmp_path / "list.txt"), closed)
    assert (arrivals, {failure.error.code for failure in failures}, len(failures)) == ([], {"address_refused"}, 3)
    (tmp_path / "t.csv").write_text(f"url,label\n{site.url}/a.jpg,cat\nhttp://[::1]:{site.port}/a.jpg,dog\n")
    arrivals, failures = got(str(tmp_path / "t.csv"), closed)
    assert (arrivals, len(failures), site.hits) == ([], 2, [])


def test_a_page_outside_cannot_point_inside(site, secret, names, options):
    names["inside.example"] = ["127.0.0.1"]
    html = f"<img src=http://127.0.0.1:{secret.port}/secret><img src=http://inside.example/secret><img src=//2130706433/secret>"
    html += "<img src=file:///etc/passwd><img src=ok.jpg><img src=http://169.254.169.254/secret>"
    site.pages |= {"/": (200, {"Content-Type": "text/html"}, html.encode()), "/ok.jpg": JPEG}
    site.pages["/robots.txt"] = 302, {"Location": f"http://inside.example:{secret.port}/secret"}, b""
    closed = replace(options, allow_private=False)
    with pytest.raises(AddressError):  # even robots.txt is not followed inside
        got("http://public.example/", closed)
    del site.pages["/robots.txt"]
    arrivals, failures = got("http://public.example/", closed)
    assert [one.name for one in arrivals] == ["ok.jpg"]
    assert {failure.error.code for failure in failures} == {"address_refused"}
    assert len(failures) == 4
    assert secret.hits == []
