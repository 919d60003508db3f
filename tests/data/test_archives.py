"""Hostile and broken archives: refused from the listing, before anything is written; nothing ever lands outside."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sightline.data import archives
from sightline.data.archives import Bounds, extract, kind_of, stem, unpacked
from sightline.errors import ArchiveError, StorageError


def a_zip(path: Path, *names: str, data: bytes = b"x", mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            entry = zipfile.ZipInfo("x")
            entry.filename = name  # the constructor would tidy it up
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, mode << 16
            archive.writestr(entry, data)
    return path


def a_tar(path: Path, *names: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"x", mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, "/etc/passwd"
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.mark.parametrize("make", [a_zip, a_tar])
@pytest.mark.parametrize(
    "name",
    ["/etc/x.jpg", "../x.jpg", "a/../../x.jpg", "..\\x.jpg", "\\\\server\\x.jpg", "C:\\x.jpg", "C:x.jpg", "a" * 300 + ".jpg"],
)
def test_names_that_point_elsewhere(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    path = make(tmp_path / "bad", "fine/a.jpg", name)
    with pytest.raises(ArchiveError) as caught:
        extract(path, tmp_path / "out" / "new")
    assert caught.value.hint
    assert not (tmp_path / "out").exists()  # not even begun
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(ArchiveError, match="link, device"):
        extract(a_tar(tmp_path / "bad.tar", "a.jpg", kind=kind), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_links_and_devices_in_a_zip(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ArchiveError, match="link or device"):
        extract(a_zip(tmp_path / "bad.zip", "a.jpg", data=b"/etc/passwd", mode=mode), tmp_path / "out")


def test_junk_directories_and_backslashes(tmp_path: Path) -> None:
    path = a_zip(
        tmp_path / "d.zip", "d\\cat\\a.jpg", "d/dog/b.jpg", "__MACOSX/d/._a.jpg", "d/.DS_Store", "d/Thumbs.db", "d/empty/"
    )
    extract(path, tmp_path / "out")
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()) == [
        "d/cat/a.jpg",
        "d/dog/b.jpg",
    ]


def test_archives_inside_stay_closed(tmp_path: Path) -> None:
    inner = a_zip(tmp_path / "inner.zip", "x.jpg").read_bytes()
    extract(a_zip(tmp_path / "outer.zip", "train.zip", data=inner), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["train.zip"]


def test_zip_bomb(tmp_path: Path) -> None:
    path = a_zip(tmp_path / "bomb.zip", "a.jpg", "b.jpg", data=bytes(40 << 20))
    with pytest.raises(ArchiveError, match="200 times its size"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tar_bombs_are_judged_by_their_headers(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("a.jpg")
    entry.size = 15 << 30
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(entry.tobuf() + bytes(1 << 20)))
    with pytest.raises(ArchiveError, match="times its size"):
        extract(tmp_path / "bomb.tar.gz", tmp_path / "out")
    entry.size = 25 << 30
    (tmp_path / "huge.tar").write_bytes(entry.tobuf() + bytes(1 << 20))
    with pytest.raises(ArchiveError, match="more than 21 GB"):
        extract(tmp_path / "huge.tar", tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_tar_headers_that_would_fill_the_memory(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("a.jpg")
    entry.type, entry.size = kind, 7 << 30
    (tmp_path / "bad.tar.gz").write_bytes(gzip.compress(entry.tobuf() + bytes(1 << 20)))
    with pytest.raises(ArchiveError, match="header claims"):
        extract(tmp_path / "bad.tar.gz", tmp_path / "out")


def test_bounds(tmp_path: Path) -> None:
    path = a_zip(tmp_path / "d.zip", *(f"{n}.jpg" for n in range(5)), data=b"0123456789")
    with pytest.raises(ArchiveError, match="more than 4 files"):
        extract(path, tmp_path / "out", Bounds(count=4))
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        extract(path, tmp_path / "out", Bounds(total=49))
    extract(path, tmp_path / "out", Bounds(count=5, total=50))


def test_a_zip_whose_sizes_lie(tmp_path: Path) -> None:
    data = bytearray(a_zip(tmp_path / "d.zip", "a.jpg", data=bytes(1 << 20)).read_bytes())
    size = (1 << 20).to_bytes(4, "little")
    while (spot := data.find(size)) >= 0:
        data[spot : spot + 4] = (10).to_bytes(4, "little")
    (tmp_path / "lie.zip").write_bytes(data)
    with pytest.raises(ArchiveError):
        extract(tmp_path / "lie.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_cut_off_and_damaged(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"d.{suffix}"
    data = os.urandom(20_000)
    names = [f"{n}.jpg" for n in range(4)]
    if suffix == "zip":
        a_zip(whole, *names, data=data)
    else:
        a_tar(whole, *names, data=data, mode=f"w:{suffix[4:]}" if suffix != "tar" else "w")
    content = whole.read_bytes()
    bad = tmp_path / f"bad.{suffix}"
    for keep in (600, len(content) // 2, len(content) // 2 + 7):
        bad.write_bytes(content[:keep])
        with pytest.raises(ArchiveError):
            extract(bad, tmp_path / "out")
    if suffix not in ("tar",):  # a plain tar has no checksum over contents
        spot = len(content) // 2
        bad.write_bytes(content[:spot] + bytes(b ^ 0x55 for b in content[spot : spot + 64]) + content[spot + 64 :])
        with pytest.raises(ArchiveError):
            extract(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_encrypted(tmp_path: Path) -> None:
    data = bytearray(a_zip(tmp_path / "d.zip", "a.jpg").read_bytes())
    spot = data.find(b"PK\x01\x02")
    data[spot + 8] |= 1
    (tmp_path / "d.zip").write_bytes(data)
    with pytest.raises(ArchiveError, match="password"):
        extract(tmp_path / "d.zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("head", "name"), [(b"\x28\xb5\x2f\xfd", "zstd"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07", "RAR")]
)
def test_kinds_that_are_not_read(tmp_path: Path, head: bytes, name: str) -> None:
    (tmp_path / "x").write_bytes(head + bytes(100))
    with pytest.raises(ArchiveError, match=name):
        kind_of(tmp_path / "x")


def test_full_disk_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 3

    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(StorageError, match="are free"):
        extract(a_zip(tmp_path / "d.zip", "a.jpg", data=b"12345"), tmp_path / "out")


def test_unpacked_once_and_again_when_changed(tmp_path: Path) -> None:
    path = a_zip(tmp_path / "d.zip", "a.jpg")
    first = unpacked(path)
    assert unpacked(path) == first
    a_zip(path, "a.jpg", "b.jpg")
    assert unpacked(path) != first


def test_names_that_are_not_utf8_are_kept_readable(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "d.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as archive:
        entry = tarfile.TarInfo("Stra\xdfe.jpg")
        archive.addfile(entry, io.BytesIO())
    extract(tmp_path / "d.tar", tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["Straße.jpg"]


def test_stem() -> None:
    assert [stem(name) for name in ("train.tar.xz", "a.b.zip", "x.TGZ", "photo.jpg")] == ["train", "a.b", "x", None]


@hypothesis_settings(max_examples=150, deadline=None)
@given(name=st.text(st.sampled_from("a./\\:C~%2e\x00 é\ud800"), min_size=1, max_size=12), tar=st.booleans())
def test_no_name_writes_outside(name: str, tar: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("box")
    try:
        path = a_tar(root / "d.tar", name) if tar else a_zip(root / "d.zip", name)
    except (UnicodeError, ValueError):
        return
    out = root / "deep" / "er" / "out"
    try:
        extract(path, out)
    except ArchiveError:
        assert not out.exists()
    written = [file for file in root.rglob("*") if file.is_file() and file != path]
    assert all(out in file.parents for file in written)
