"""Pictures a second of a detector, from JPEG files to boxes in their pixels: many files on all cores, and one after the other.

Without --model an untrained yolo-tiny of 320 pixels is measured: its time does not depend on what it has learnt, but for the
objects it would find. The parts of one answer are timed alone beside it. Each run goes over all pictures, in turn.

    python bench/detect.py ../shared/data/clothing/train
    python bench/detect.py ../shared/data/bccd --model runs/bccd
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness import in_turn, report, spread, versions
from models import untrained_detector
from predict import pictures


def timed(work: Callable[[Path], object], files: list[Path]) -> list[float]:
    """Milliseconds of each file, alone."""
    found = []
    for file in files:
        start = time.perf_counter()
        work(file)
        found.append(1000 * (time.perf_counter() - start))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="a detector's bundle")
    parser.add_argument("--detector", default="yolo-tiny", help="of the untrained one")
    parser.add_argument("--size", type=int, default=320, help="of the untrained one")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    from sightline.runtime.detector import Detector
    from sightline.runtime.model import load
    from sightline.runtime.pixels import prepare_sized

    files = pictures(options.folder, options.count)
    if not files:
        raise SystemExit(f"no JPEG files in {options.folder}")
    with tempfile.TemporaryDirectory() as scratch:
        place = options.model or untrained_detector(Path(scratch) / "model", options.detector, options.size)
        many, alone = load(place, threads=options.threads), load(place, threads=1)
        assert isinstance(many, Detector)
        assert isinstance(alone, Detector)
        spec = many.card.input
        read = [file.read_bytes() for file in files]
        images = [prepare_sized(data, spec)[0] for data in read]
        times = in_turn(
            {
                f"{options.threads} threads": lambda: list(many.predict_many(files)),
                "1 thread": lambda: list(alone.predict_many(files)),
                "decoding to the input alone": lambda: [prepare_sized(data, spec) for data in read],
                "the graph alone": lambda: [alone.found(image) for image in images],
            },
            runs=options.runs,
        )
        one = timed(alone.predict, files)
    rates = {name: [len(files) / took for took in runs] for name, runs in times.items()}
    lines = [
        f"{many.card.recipe.backbone} at {spec.size} pixels, {len(many.card.classes)} classes, {len(files)} JPEG files, "
        f"{options.runs} runs; {versions('onnxruntime', 'simplejpeg', 'numpy')}",
        *(f"{name:>28}: {spread(rate)} pictures/s" for name, rate in rates.items()),
        f"{'one picture':>28}: {statistics.median(one):.1f} ms (95 %: {sorted(one)[int(0.95 * len(one))]:.1f} ms)",
    ]
    report("detect", lines, {"seconds": times, "one_ms": one})


if __name__ == "__main__":
    main()
