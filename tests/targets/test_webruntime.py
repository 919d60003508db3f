"""onnxruntime-web comes from where it is given, is kept, and is never another version; a page refuses what it cannot show."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from bundles import tiny_bundle
from sightline.errors import FetchError, MissingExtraError, NotFoundError, TargetError, UsageError
from sightline.settings import settings
from sightline.targets import web, webruntime
from sightline.types import InputSpec
from sightline.verbs.export import export

CONTENTS = {"ort.wasm.bundle.min.mjs": b"// script", "ort-wasm-simd-threaded.wasm": b"\0asm"}


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive as npm packs it, which takes the place of the pinned one."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in CONTENTS.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    archive = tmp_path / "packed.tgz"
    archive.write_bytes(stream.getvalue())
    digest = base64.b64encode(hashlib.sha512(stream.getvalue()).digest()).decode()
    monkeypatch.setattr(webruntime, "INTEGRITY", f"sha512-{digest}")
    hashes = {ours: (name, hashlib.sha256(CONTENTS[name]).hexdigest()) for ours, (name, _) in webruntime.FILES.items()}
    monkeypatch.setattr(webruntime, "FILES", hashes)
    return archive


def test_from_an_archive_and_from_folders(packed: Path, tmp_path: Path):
    wanted = {"ort.js": b"// script", "ort.wasm": b"\0asm"}
    assert webruntime.files(packed) == wanted
    dist = tmp_path / "unpacked/package/dist"
    dist.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (dist / name).write_bytes(content)
    assert webruntime.files(tmp_path / "unpacked") == webruntime.files(dist) == wanted


def test_another_version_is_refused(packed: Path, tmp_path: Path):
    (tmp_path / "other.tgz").write_bytes(packed.read_bytes() + b"\0")
    with pytest.raises(UsageError, match="checksum"):
        webruntime.files(tmp_path / "other.tgz")
    folder = tmp_path / "dist"
    folder.mkdir()
    with pytest.raises(NotFoundError, match="holds no"):
        webruntime.files(folder)
    for name in CONTENTS:
        (folder / name).write_bytes(b"other")
    with pytest.raises(UsageError, match="checksum"):
        webruntime.files(folder)
    with pytest.raises(NotFoundError, match="no such"):
        webruntime.files(tmp_path / "nowhere")


def test_offline_says_how_to_fetch_by_hand():
    with pytest.raises(MissingExtraError, match="SIGHTLINE_OFFLINE") as error:
        webruntime.files(None)
    assert f"npm pack {webruntime.PACKAGE}@{webruntime.VERSION}" in error.value.hint
    assert "--runtime" in error.value.hint


def test_npm_is_asked_once(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nfor last; do :; done\ncp {packed} "$last/x.tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "0")
    settings.cache_clear()
    monkeypatch.setattr(webruntime.shutil, "which", lambda _: str(npm))
    first = webruntime.files(None)
    assert webruntime.files(None) == first
    assert len((tmp_path / "asked").read_text().splitlines()) == 1
    kept = settings().cache / f"{webruntime.PACKAGE}-{webruntime.VERSION}"
    (kept / "ort.js").write_bytes(b"altered")  # then it is fetched again
    assert webruntime.files(None) == first
    npm.write_text("#!/bin/sh\necho no such package >&2\nexit 1\n")
    (kept / "ort.js").unlink()
    with pytest.raises(FetchError, match="no such package"):
        webruntime.files(None)


def test_a_page_is_whole_and_names_no_foreign_address(packed: Path, tmp_path: Path):
    bundle = tiny_bundle(tmp_path / "tiny", name='<b>"&')
    made = export(str(bundle), to="web", out=tmp_path / "out", runtime=packed)
    assert made.parity is None
    assert made.why
    out = tmp_path / "out"
    worker = (out / "sw.js").read_text()
    kept = json.loads(worker.split("const FILES = ")[1].split(";\n")[0])
    there = {one.name for one in out.iterdir()}
    assert set(kept) == there - {"sw.js", "README.md", "export.json"}
    assert "<title>&lt;b&gt;&quot;&amp;</title>" in (out / "index.html").read_text()
    assert json.loads((out / "manifest.json").read_text())["name"] == '<b>"&'
    for one in out.iterdir():
        if one.suffix in {".js", ".html", ".css", ".json"}:
            text = one.read_text()
            assert "@" + "POLICY@" not in text
            assert "http" + "s://" not in text, one.name
    for name in ("index.html", "sw.js"):
        assert "connect-src" in (out / name).read_text()
    again = export(str(bundle), to="web", out=tmp_path / "again", runtime=packed)
    assert (Path(again.path) / "sw.js").read_text() == worker  # the same page is the same version


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (InputSpec(size=32, frames=4), "clips"),
        (InputSpec(size=32, steps=("sharpen", "grey")), "sharpen"),
    ],
)
def test_what_the_page_cannot_show_is_refused(packed: Path, tmp_path: Path, spec: InputSpec, said: str):
    bundle = tiny_bundle(tmp_path / "tiny", input=spec)
    with pytest.raises(TargetError, match=said):
        export(str(bundle), to="web", out=tmp_path / "out", runtime=packed)
    assert not (tmp_path / "out").exists()


def test_every_step_is_in_the_page_or_refused():
    from sightline.runtime.adjust import STEPS

    script = (web.PAGE / "adjust.js").read_text()
    for name in web.STEPS:
        assert name in STEPS
        assert f"{name}:" in script.replace('"', "")
