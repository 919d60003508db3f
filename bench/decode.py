"""How fast a JPEG becomes what a model sees: `prepare` against plain Pillow (convert, resize, crop), and how equal they are.

Photographs come from SIGHTLINE_SHARED/data/clothing when it is there, drawn pictures otherwise; both are scaled to each
size here and saved at quality 90. The 12-megapixel ones are enlarged, with noise added so that the files are as large as a
camera's (3 to 4 MB). Run: python bench/decode.py
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness import in_turn, ratio, report, spread, versions
from sightline.runtime.guard import Guard
from sightline.runtime.pixels import decode, fit, prepare
from sightline.types import InputSpec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pictures import drawn

NOISE = 7  # grey levels each way

# name -> (width, height), how many, input
CASES = {
    "12 MP, crop 224": ((4032, 3024), 4, InputSpec(size=224)),
    "12 MP, pad 224": ((4032, 3024), 4, InputSpec(size=224, fit="pad")),
    "500x375, crop 224": ((500, 375), 40, InputSpec(size=224)),
    "500x375, squash 224": ((500, 375), 40, InputSpec(size=224, fit="squash")),
    "400x534, pad 224": ((400, 534), 40, InputSpec(size=224, fit="pad")),
    "400x534, pad 64": ((400, 534), 40, InputSpec(size=64, fit="pad")),
}


def photographs(count: int) -> tuple[list[Image.Image], str]:
    folder = Path(os.environ.get("SIGHTLINE_SHARED") or Path(__file__).parents[2] / "shared") / "data/clothing"
    files = sorted(folder.rglob("*.jpg"))[:count]
    if files:
        return [Image.open(file).convert("RGB") for file in files], "photographs (clothing), rescaled"
    return [drawn(seed, (400, 534)) for seed in range(count)], "drawn pictures"


def jpegs(pictures: list[Image.Image], size: tuple[int, int], count: int) -> list[bytes]:
    made = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        if (picture.width > picture.height) != (size[0] > size[1]):
            picture = picture.transpose(Image.Transpose.ROTATE_90)
        stream = io.BytesIO()
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        if size[0] > 1000:
            noise = np.random.default_rng(number).integers(-NOISE, NOISE + 1, (size[1], size[0], 1), dtype=np.int16)
            picture = Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))
        picture.save(stream, "JPEG", quality=90)
        made.append(stream.getvalue())
    return made


def plain(data: bytes, spec: InputSpec) -> NDArray[np.uint8]:
    """What everybody writes first with Pillow."""
    picture, size = Image.open(io.BytesIO(data)).convert("RGB"), spec.size
    if spec.fit == "squash":
        return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    whole = spec.fit == "pad"
    scale = size / max(picture.size) if whole else round(size / spec.crop) / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR)
    x, y = (picture.width - size) // 2, (picture.height - size) // 2
    if not whole:
        return np.asarray(picture.crop((x, y, x + size, y + size)))
    ground = Image.new("RGB", (size, size), (124, 116, 104))
    ground.paste(picture, (-x, -y))
    return np.asarray(ground)


def difference(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> float:
    return float(np.abs(ours.astype(int) - theirs).mean())


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main(runs: int = 5) -> None:
    pictures, origin = photographs(20)
    large = sum(map(len, jpegs(pictures, (4032, 3024), 4))) / 4e6
    lines, facts = [f"pictures: {origin}, 12 MP: {large:.1f} MB; {versions('pillow', 'simplejpeg', 'numpy')}", ""], {}
    lines.append("case | Pillow ms | ours ms | times faster (wall) | by CPU time | MAD to full decode | MAD to plain Pillow")
    for name, (size, count, spec) in CASES.items():
        data = jpegs(pictures, size, count)
        rivals: dict[str, Callable[[], object]] = {
            "plain": lambda data=data, spec=spec: [plain(one, spec) for one in data],
            "ours": lambda data=data, spec=spec: [prepare(one, spec) for one in data],
        }
        times = in_turn(rivals, runs=runs)
        by_cpu = [cpu(rivals["plain"]) / cpu(rivals["ours"]) for _ in range(runs)]
        middle, low, high = ratio(times["plain"], times["ours"])
        per = {rival: [1000 * value / count for value in values] for rival, values in times.items()}
        full = float(np.mean([difference(prepare(one, spec), fit(decode(one), spec)) for one in data]))
        peer = float(np.mean([difference(prepare(one, spec), plain(one, spec)) for one in data]))
        lines.append(
            f"{name} | {spread(per['plain'])} | {spread(per['ours'])} | {middle:.2f} ({low:.2f}-{high:.2f}) | "
            f"{np.median(by_cpu):.2f} | {full:.2f} | {peer:.2f}"
        )
        facts[name] = {"times_faster": middle, "times_faster_cpu": float(np.median(by_cpu)), "mad": full}
    lines += ["", *in_parallel(jpegs(pictures, (500, 375), 40), runs)]
    report("decode", lines, facts)


def in_parallel(data: list[bytes], runs: int) -> list[str]:
    """Two threads against one (beside SHA-256, which needs no lock either), and the guard's worker against this process."""
    spec, block = InputSpec(size=224), bytes(20_000_000)
    with ThreadPoolExecutor(2) as pool, Guard(1) as guard:
        guard.prepare(data[0], spec)
        times = in_turn(
            {
                "one": lambda: [prepare(one, spec) for one in data],
                "two": lambda: list(pool.map(lambda one: prepare(one, spec), data)),
                "one hash": lambda: [hashlib.sha256(block).digest() for _ in range(4)],
                "two hashes": lambda: list(pool.map(lambda _: hashlib.sha256(block).digest(), range(4))),
                "guard": lambda: [guard.prepare(one, spec) for one in data],
            },
            runs=runs,
        )
    extra = [1000 * (g - o) / len(data) for g, o in zip(times["guard"], times["one"], strict=True)]
    return [
        f"two threads: {ratio(times['one'], times['two'])[0]:.2f} times one; the machine gives two threads of SHA-256 "
        f"{ratio(times['one hash'], times['two hashes'])[0]:.2f} times one",
        f"guard: {spread(extra)} ms more for each picture than in this process",
    ]


if __name__ == "__main__":
    main()
