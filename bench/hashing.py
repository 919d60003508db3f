"""Looking at a folder of JPEGs once (contents, hashes, miniatures, sizes) against hashing it the plain Pillow way.

The plain way is what everybody writes first: open, convert to grey, resize to 32 x 32, DCT, median; ours does more (SHA-256,
colours, sizes, judging damage). Both with one thread. Pictures as in bench/decode.py. Run: python bench/hashing.py
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from decode import cpu, jpegs, photographs
from harness import in_turn, ratio, report, spread, versions
from sightline.data.duplicates import hashes
from sightline.data.survey import survey
from sightline.settings import settings
from sightline.types import Dataset, Item

CASES = {"500x375": ((500, 375), 60), "12 megapixels": ((4032, 3024), 5)}


def plain(files: list[Path]) -> list[int]:
    found = []
    for file in files:
        grey = np.asarray(Image.open(file).convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float32)
        step = np.arange(32)
        basis = np.cos(np.pi * (2 * step[None, :] + 1) * step[:8, None] / 64)
        terms = (basis @ grey @ basis.T).ravel()
        found.append(int("".join("1" if bit else "0" for bit in terms > np.median(terms)), 2))
    return found


def main(runs: int = 5) -> None:
    sources, origin = photographs(20)
    lines = [f"pictures: {origin}; {versions('pillow', 'simplejpeg', 'numpy')}", ""]
    lines.append(
        "case | plain Pillow ms | hashes ms | survey ms | survey again ms | times faster: hashes, survey (CPU) | bits apart"
    )
    facts: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.update(SIGHTLINE_HOME=str(Path(scratch, "home")), SIGHTLINE_THREADS="1")
        settings.cache_clear()
        for name, (size, count) in CASES.items():
            folder = Path(scratch, name)
            folder.mkdir()
            for number, data in enumerate(jpegs(sources, size, count)):
                (folder / f"{number:03}.jpg").write_bytes(data)
            files = sorted(folder.iterdir())
            dataset = Dataset(
                name=name, task="multiclass", classes=(), items=tuple(Item(uri=str(file), name=file.name) for file in files)
            )

            def fresh(dataset: Dataset = dataset) -> object:
                shutil.rmtree(settings().cache, ignore_errors=True)
                return survey(dataset)

            rivals = {
                "plain": lambda files=files: plain(files),
                "hashes": lambda files=files: hashes(files),
                "survey": fresh,
                "again": lambda dataset=dataset: survey(dataset),
            }
            times = in_turn(rivals, runs=runs)
            by_cpu = {
                who: np.median([cpu(rivals["plain"]) / cpu(rivals[who]) for _ in range(runs)]) for who in ("hashes", "survey")
            }
            middle = {who: ratio(times["plain"], times[who]) for who in ("hashes", "survey")}
            per = {who: spread([1000 * value / count for value in values]) for who, values in times.items()}
            apart = np.bitwise_count(np.array(plain(files), np.uint64) ^ survey(dataset).hashes)
            faster = ", ".join(f"{m:.2f} ({low:.2f}-{high:.2f}; {by_cpu[who]:.2f})" for who, (m, low, high) in middle.items())
            lines.append(f"{name} | {' | '.join(per.values())} | {faster} | {apart.mean():.2f}, at most {apart.max()}")
            facts[name] = {"hashes": middle["hashes"][0], "survey": middle["survey"][0], "by_cpu": by_cpu}
    report("hashing", lines, facts)


if __name__ == "__main__":
    main()
