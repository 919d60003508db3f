"""collect end to end: into names and folders, adding, failures, metadata, hostile archives, kills."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from pictures import class_folders, drawn, encoded
from sightline.data.readers import read
from sightline.errors import ArchiveError, DatasetError, NotFoundError, StoppedError, StorageError, UsageError
from sightline.settings import settings
from sightline.store import arrivals, datasets, names
from sightline.store.database import database
from sightline.types import Annotation, Failure, Item
from sightline.verbs.collect import Collected, collect, show

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="20" height="10" fill="red"/></svg>'


def kept(name: str):
    return datasets.get(database(), name)


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_folder_into_a_name(tmp_path: Path):
    folder = class_folders(tmp_path / "photos")
    done = collect(str(folder), into="colours")
    assert (done.count, done.added, done.doubled, done.failures) == (18, 18, 0, ())
    dataset = kept("colours")
    assert dataset.hash == done.dataset
    assert (dataset.task, dataset.classes) == ("multiclass", ("blue", "green", "red"))
    assert {item.uri for item in dataset.items} == {str(path) for path in folder.rglob("*.jpg")}  # in place
    assert all(item.sha256 == hashlib.sha256(Path(item.uri).read_bytes()).hexdigest() for item in dataset.items)
    assert not (settings().home / "blobs").exists()


def test_collecting_again_adds_and_nothing_is_doubled(tmp_path: Path):
    folder = class_folders(tmp_path / "photos", per_class=2)
    first = collect(str(folder), into="colours")
    again = collect(str(folder), into="colours")
    assert (again.dataset, again.count, again.added, again.doubled) == (first.dataset, 6, 0, 6)
    assert len(names.history(database(), "dataset", "colours")) == 1
    (folder / "red" / "new.jpg").write_bytes(encoded(drawn(99)))
    (folder / "green" / "red-0.jpg").write_bytes((folder / "red" / "red-0.jpg").read_bytes())  # the same picture, another label
    third = collect(str(folder), into="colours")
    assert (third.count, third.added, third.doubled) == (8, 2, 6)
    version = datasets.summary(database(), "colours")
    assert version.hash == third.dataset
    assert version.parents == (first.dataset,)
    assert version.made.verb == "collect"
    assert names.undo(database(), "dataset", "colours") == first.dataset


def test_two_collections_at_once_both_count(tmp_path: Path):
    folders = [class_folders(tmp_path / name, per_class=2, classes=(name, "other")) for name in ("red", "blue", "green")]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda folder: collect(str(folder), into="colours"), folders))
    assert kept("colours").classes == ("blue", "green", "other", "red")


def test_two_pictures_of_one_name(tmp_path: Path):
    for number, where in enumerate(("a", "b")):
        (tmp_path / where / "cat").mkdir(parents=True)
        (tmp_path / where / "cat" / "1.jpg").write_bytes(encoded(drawn(number)))
    collect(str(tmp_path / "a"), into="cats")
    done = collect(str(tmp_path / "b"), into="cats")
    found = [item.name for item in kept("cats").items]
    assert done.count == 2
    assert found[0].startswith("cat/1-")
    assert found[1] == "cat/1.jpg"


def test_splits_stay_and_tell_pictures_apart(tmp_path: Path):
    for split in ("train", "test"):
        class_folders(tmp_path / split, per_class=2, classes=("red", "green"))
    done = collect(str(tmp_path), into="split")
    assert done.count == 8  # the same pictures are in both: that is for `clean` to say, not to be hidden here
    assert {item.split for item in kept("split").items} == {"train", "test"}


def test_what_is_no_picture_is_said(tmp_path: Path):
    folder = class_folders(tmp_path / "photos", per_class=2)
    (folder / "red" / "text.jpg").write_text("no picture")
    (folder / "red" / "empty.jpg").touch()
    (folder / "red" / "cut.png").write_bytes(encoded(drawn(3), "PNG")[:-30])
    head = Image.new("1", (9000, 9000))
    (folder / "red" / "huge.png").write_bytes(encoded(head, "PNG"))
    (folder / "red" / "page.jpg").write_text("<html>404")
    done = collect(str(folder), into="colours")
    assert done.count == 6
    assert {failure.picture.rpartition("/")[2]: failure.error.code for failure in done.failures} == {
        "text.jpg": "picture_format",
        "empty.jpg": "picture_unreadable",
        "cut.png": "picture_unreadable",
        "huge.png": "picture_too_large",
        "page.jpg": "picture_format",
    }
    assert [failure.picture for failure in kept("colours").failures] == [failure.picture for failure in done.failures]


def test_copies_lose_private_metadata(tmp_path: Path):
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    original = encoded(drawn(1), exif=exif.tobytes())
    (folder / "a.jpg").write_bytes(original)
    for option, private in ((False, False), (True, True)):
        collect(str(folder.parent), into=f"cats-{private}".lower(), copy=True, keep_metadata=option)
        (item,) = kept(f"cats-{private}".lower()).items
        assert Path(item.uri).is_relative_to(settings().home / "blobs")
        assert (b"SecretCamera" in Path(item.uri).read_bytes()) is private
    assert (folder / "a.jpg").read_bytes() == original


def test_into_a_folder(tmp_path: Path):
    folder = class_folders(tmp_path / "photos", per_class=2)
    done = collect(str(folder), into=str(tmp_path / "out"))
    assert (done.dataset, done.count) == (str(tmp_path / "out"), 6)
    assert files_below(tmp_path / "out") == files_below(folder)
    (tmp_path / "empty").mkdir()
    assert collect(str(folder), into=str(tmp_path / "empty"), format="csv").count == 6
    assert len(read(tmp_path / "empty").items) == 6
    assert not (settings().home / "sightline.db").exists()
    with pytest.raises(StorageError, match="not empty"):
        collect(str(folder), into=str(tmp_path / "out"))


def test_labels_and_facts_that_a_person_gives(tmp_path: Path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(drawn(number)))
    done = collect(
        str(tmp_path), into="cats", label="cat", licence="CC0-1.0", author="Ana", origin="my garden", group="g", limit=2
    )
    assert done.count == 2
    item = kept("cats").items[0]
    assert (item.labels, item.group) == (("cat",), "g")
    assert item.facts.model_dump(exclude_defaults=True) == {"licence": "CC0-1.0", "author": "Ana", "source": "my garden"}
    (tmp_path / "labels.csv").write_text("file,label\n0.jpg,dog\n1.jpg,cat\n2.jpg,dog\n")
    done = collect(str(tmp_path), into="pets", labels=tmp_path / "labels.csv")
    assert kept("pets").classes == ("cat", "dog")


def test_boxes_are_blurred_while_collecting(tmp_path: Path):
    picture = Image.new("RGB", (80, 80), (255, 255, 255))
    picture.paste(Image.effect_noise((20, 20), 100).convert("RGB"), (10, 10))
    (tmp_path / "a.png").write_bytes(encoded(picture, "PNG"))
    box = {"bbox": [[10, 10, 20, 20], [50, 50, 10, 10]], "category": ["face", "cup"]}
    (tmp_path / "t.jsonl").write_text(json.dumps({"file": "a.png", "objects": box}))
    collect(str(tmp_path / "t.jsonl"), into="people", blur="face")
    (item,) = kept("people").items
    assert [mark.label for mark in item.truth] == ["face", "cup"]
    with Image.open(item.uri) as blurred:
        region = blurred.convert("L").crop((12, 12, 28, 28)).getextrema()
    assert region[1] - region[0] < 120  # the noise ran from black to white
    assert (tmp_path / "a.png").read_bytes() == encoded(picture, "PNG")
    assert kept("people").task == "detection"


def test_without_the_extra(tmp_path: Path):
    """Local sources into a folder need nothing but the base install; the rest says which extra it needs."""
    class_folders(tmp_path / "in", per_class=1, classes=("red", "green"))
    (tmp_path / "t.csv").write_text("file,label\nin/red/red-0.jpg,red\nin/green/green-0.jpg,green\n")
    (tmp_path / "list.txt").write_text("https://host.example/a.jpg\n")
    code = (
        "import sys; sys.modules |= dict.fromkeys(['sqlalchemy', 'alembic', 'httpcore', 'fsspec', 'pyarrow'])\n"
        "from sightline.verbs.collect import collect; from sightline.errors import MissingExtraError\n"
        "print(collect('in', into='./a').count, collect('t.csv', into='./b').count)\n"
        "for source, into in (('in', 'name'), ('list.txt', './c'), ('https://host.example', './c'), ('s3://x', './c')):\n"
        "    try: collect(source, into=into)\n"
        "    except MissingExtraError as error: print(error.hint)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["2 2", *["pip install 'sightline[store]'"] * 4]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from sightline.cli import main

    folder = class_folders(tmp_path / "photos", per_class=1)
    (folder / "red" / "no.jpg").write_text("no picture")
    with pytest.raises(SystemExit) as left:
        main(["collect", str(folder), "--into", "colours", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert left.value.code == 5  # done in part
    assert set(told) >= {"dataset", "count", "failures"}
    assert (told["count"], len(told["dataset"])) == (3, 64)
    assert told["failures"][0]["error"]["code"] == "picture_format"


def test_unlabelled_pictures_are_welcome(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(1)))
    collect(str(tmp_path / "a.jpg"), into="unlabelled")
    assert [item.labels for item in kept("unlabelled").items] == [()]
    done = collect(str(tmp_path / "a.jpg"), into=str(tmp_path / "out"))
    assert done.count == 1


def test_an_archive_is_kept_when_its_files_go(tmp_path: Path):
    class_folders(tmp_path / "in", per_class=1)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in (tmp_path / "in").rglob("*.jpg"):
            archive.write(file, file.relative_to(tmp_path / "in"))
    collect(str(tmp_path / "a.zip"), into="packed")
    assert {Path(item.uri).is_relative_to(settings().home / "blobs") for item in kept("packed").items} == {True}


def test_drawings_become_pixels(tmp_path: Path):
    pytest.importorskip("cairosvg")
    class_folders(tmp_path / "photos", per_class=1)
    (tmp_path / "photos" / "red" / "sign.svg").write_bytes(SVG)
    (tmp_path / "photos" / "red" / "code.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    (tmp_path / "photos" / "red" / "evil.svg").write_bytes(b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + SVG)
    done = collect(str(tmp_path / "photos"), into="signs", side=64)
    drawn_one = next(item for item in kept("signs").items if "svg" in item.name)
    with Image.open(drawn_one.uri) as picture:
        assert (picture.format, picture.size, picture.getpixel((5, 5))) == ("PNG", (64, 32), (255, 0, 0))
    assert (drawn_one.name, drawn_one.labels, drawn_one.facts.source) == ("red/sign.svg.png", ("red",), "red/sign.svg")
    failed = {failure.picture: failure.error for failure in done.failures}
    assert set(failed) == {"red/code.eps", "red/evil.svg"}
    assert "--eps" in failed["red/code.eps"].hint


@pytest.mark.parametrize("entry", ["../../out.jpg", "/tmp/out.jpg", "a/../../../out.jpg", "C:\\out.jpg", "..\\out.jpg"])
def test_nothing_lands_outside(tmp_path: Path, entry: str):
    before = files_below(tmp_path)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("cat/fine.jpg", encoded(drawn(1)))
        info = zipfile.ZipInfo("x")
        info.filename = entry
        archive.writestr(info, encoded(drawn(2)))
    for into in ("evil", str(tmp_path / "out")):
        with pytest.raises(ArchiveError):
            collect(str(tmp_path / "evil.zip"), into=into)
    assert files_below(tmp_path) - before == {"evil.zip"}
    assert not Path("/tmp/out.jpg").exists()
    assert {path.split("/")[0] for path in files_below(settings().home)} <= {
        "sightline.db",
        "sightline.db-wal",
        "sightline.db-shm",
    }


def test_bombs_write_nothing(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/a.jpg", b"\0" * (300 << 20))
    with pytest.raises(ArchiveError, match="unpacks to more"):
        collect(str(tmp_path / "bomb.zip"), into=str(tmp_path / "out"))
    assert not any(path.stat().st_size > 1 << 20 for path in settings().home.rglob("*"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"into": "x", "format": "csv"}, UsageError),
        ({"into": "deadbeef"}, UsageError),
        ({"into": "./x", "format": "cvs"}, UsageError),
        ({"into": "x", "limit": 0}, UsageError),
        ({"into": "x", "rate": 0.0}, UsageError),
        ({"into": "x", "every": 0}, UsageError),
        ({"into": "x", "seconds": 0.0}, UsageError),
        ({"into": "x", "scene": 1.5}, UsageError),
    ],
)
def test_impossible_wishes(tmp_path: Path, options: dict[str, object], error: type[Exception]):
    with pytest.raises(error) as caught:
        collect(str(class_folders(tmp_path / "in")), **options)
    assert caught.value.hint or "at least" in caught.value.message


def test_nothing_came(tmp_path: Path):
    with pytest.raises(NotFoundError):
        collect(str(tmp_path / "nothing"), into="x")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.jpg").write_text("no picture")
    with pytest.raises(DatasetError, match="no picture came"):
        collect(str(tmp_path / "a"), into="x")
    with pytest.raises(NotFoundError):
        datasets.get(database(), "x")


def test_stopped_by_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import fsspec

    files = fsspec.filesystem("memory")
    for number in range(40):
        files.pipe_file(f"/stopped/cat/{number}.jpg", encoded(drawn(number)))
    from sightline.verbs import memory

    real, seen = memory.Memory.keep, []

    def keep(self: object, arrival: object, result: object) -> None:
        real(self, arrival, result)
        seen.append(arrival)
        if len(seen) == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(memory.Memory, "keep", keep)
    with pytest.raises(StoppedError, match="10 fetched pictures are kept") as caught:
        collect("memory://stopped", into="cats")
    assert "again" in caught.value.hint
    done = collect("memory://stopped", into="cats")
    assert (done.count, done.doubled, len(seen)) == (40, 0, 40)  # 30 more, none twice


def test_arrivals_of_a_run():
    db = database()
    item = Item(uri="/a", name="a", truth=(Annotation(label="x"),), sha256="0" * 64)
    failure = Failure(picture="b", error={"code": "picture_format", "message": "no"})
    arrivals.put(db, "run", {"http://a": item, "http://b": failure})
    arrivals.put(db, "run", {"http://a": item})
    assert arrivals.known(db, "run") == {arrivals.key_of("http://a"): item, arrivals.key_of("http://b"): failure}
    assert arrivals.known(db, "other") == {}
    arrivals.clear(db, "run")
    assert arrivals.known(db, "run") == {}


def test_shown(capsys: pytest.CaptureFixture[str]):
    from rich.console import Console

    failure = Failure(picture="[a].jpg", error={"code": "picture_format", "message": "no [b]picture"})
    Console(width=120).print(show(Collected(dataset="a" * 64, name="cats", count=2, added=1, doubled=1, failures=(failure,))))
    text = capsys.readouterr().out
    assert "2 pictures in cats (version aaaaaaaaaaaa): 1 new, 1 were there already" in text
    assert "[a].jpg" in text
    assert "no [b]picture" in text


# --- kill -9

SERVER = """
import http.server, pathlib, sys, time
pictures = sorted(pathlib.Path(sys.argv[1]).glob("*.jpg"))
log = open(sys.argv[2], "a", buffering=1)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        log.write(name + "\\n")
        found = pathlib.Path(sys.argv[1]) / name
        body = found.read_bytes() if found.is_file() else b""
        time.sleep(0.004)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def slow_site(tmp_path: Path):
    """(base address, log of requests) of a site in a process of its own, with 120 pictures."""
    (tmp_path / "site").mkdir()
    for number in range(120):
        (tmp_path / "site" / f"{number}.jpg").write_bytes(encoded(drawn(number, size=(24, 20))))
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "site"), str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    yield f"http://127.0.0.1:{int(server.stdout.readline())}", tmp_path / "log"
    server.kill()
    server.wait()
    server.stdout.close()


def _kills(tmp_path: Path, slow_site: tuple[str, Path], times: int) -> None:
    base, log = slow_site
    (tmp_path / "list.txt").write_text("".join(f"{base}/{number}.jpg\n" for number in range(120)))
    command = [sys.executable, "-m", "sightline", "collect", str(tmp_path / "list.txt"), "--into", "killed"]
    command += ["--allow-private", "--rate", "100000", "--json"]
    rng = random.Random(1)
    asked: list[str] = []
    at_home: list[tuple[int, set[str]]] = []  # after each kill: requests so far, and what was on the disk

    def requests() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    for _ in range(times):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
        wanted, end = len(asked) + rng.randint(2, max(3, 240 // times)), time.monotonic() + 60
        while running.poll() is None and time.monotonic() < end and len(requests()) < wanted:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
        asked = requests()
        with database().read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            rows = connection.exec_driver_sql("SELECT item FROM arrivals WHERE item IS NOT NULL")
            found = {json.loads(row[0])["name"] for row in rows}
        if running.returncode == -signal.SIGKILL and found:
            assert at_home == [] or at_home[-1][1] <= found  # nothing that was on the disk is lost
            at_home.append((len(asked), found))
    done = json.loads(subprocess.run(command, capture_output=True, env=os.environ, check=True, text=True).stdout)
    assert (done["count"], done["failures"]) == (120, [])
    items = kept("killed").items
    assert all(hashlib.sha256(Path(item.uri).read_bytes()).hexdigest() == item.sha256 for item in items)
    assert len({item.name for item in items}) == 120
    for count, found in at_home:
        assert not found & set(requests()[count:])  # and it is not asked for again
    assert arrivals_left() == 0


def arrivals_left() -> int:
    with database().read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM arrivals").scalar() or 0)


def test_killed_while_fetching(tmp_path: Path, slow_site: tuple[str, Path]):
    _kills(tmp_path, slow_site, 3)


@pytest.mark.slow
def test_killed_twenty_times_while_fetching(tmp_path: Path, slow_site: tuple[str, Path]):
    _kills(tmp_path, slow_site, 20)
