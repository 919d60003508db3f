"""How fast local files are collected: files a second into a name (referenced) and into a copy. `python bench/collect.py`.

Draws its own files: JPEGs of about 20 kB (320 x 240) in ten class folders, on the disk of the temporary folder.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from harness import report, spread


def draw(folder: Path, count: int) -> Path:
    """`count` JPEGs that differ in their bytes: one picture, with a number of its own in a comment."""
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).resize((320, 240), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=93)
    data = stream.getvalue()
    for number in range(count):
        place = folder / f"class{number % 10}"
        place.mkdir(parents=True, exist_ok=True)
        comment = f"{number:08d}".encode()
        (place / f"{number:06d}.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x0a" + comment + data[2:])
    return folder


def collected(folder: Path, home: Path, *options: str) -> float:
    """Seconds of `collect` in a fresh process and a fresh workspace, without the start of Python."""
    code = (
        "import time, sys; from sightline.verbs.collect import collect; import sightline.store.datasets, sightline.sources;"
        "began = time.perf_counter(); done = collect(sys.argv[1], into='bench', copy='--copy' in sys.argv);"
        "print(time.perf_counter() - began)"
    )
    shutil.rmtree(home, ignore_errors=True)
    environment = {**os.environ, "SIGHTLINE_HOME": str(home)}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder), *options], env=environment, capture_output=True, text=True, check=True
    )
    return float(ran.stdout)


def hashed(folder: Path) -> float:
    """Seconds to read and hash the same files in one thread: what no collection can be without."""
    began = time.perf_counter()
    for path in folder.rglob("*.jpg"):
        hashlib.sha256(path.read_bytes()).hexdigest()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = draw(Path(name) / "photos", wanted.files)
        size = sum(path.stat().st_size for path in folder.rglob("*.jpg")) / wanted.files / 1e3
        times: dict[str, list[float]] = {"referenced": [], "read and SHA-256 only, one thread": [], "copied": []}
        for _ in range(wanted.runs):
            times["referenced"].append(collected(folder, Path(name) / "home"))
            times["read and SHA-256 only, one thread"].append(hashed(folder))
        times["copied"].append(collected(folder, Path(name) / "home", "--copy"))
    lines = [f"{wanted.files:,} JPEGs of {size:.0f} kB"]
    lines += [f"{what}: {spread([wanted.files / t for t in taken])} files/s" for what, taken in times.items()]
    report("collect", lines, {"files": wanted.files, "seconds": times})


if __name__ == "__main__":
    main()
