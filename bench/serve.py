"""Answers a second over HTTP: ours, a bare loop of decoding + ONNX Runtime without HTTP, and LitServe; then overload.

16 callers, raw JPEGs of about 100 kB, the load generator on the same cores. Rivals run in turn, each in a process of its own;
ratios are taken pair by pair. Overload: arrivals at five times what was just measured, whether or not answers come.

    python bench/serve.py --model MODEL [--litserve PYTHON-WITH-LITSERVE] [--runs 5] [--seconds 5]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness import report, spread, versions

HERE = Path(__file__).parent
Load = dict[str, Any]

# what a careful user writes for LitServe: the same scaled JPEG decoding, two workers, one thread each
LITSERVE = """
import io, sys
import litserve as ls, numpy as np, onnxruntime as ort, simplejpeg
from typing import Annotated
from fastapi import Body
from PIL import Image

Raw = Annotated[bytes, Body(media_type="application/octet-stream")]

class Api(ls.LitAPI):
    def setup(self, device):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: Raw):
        return request

    def predict(self, data):
        pixels = simplejpeg.decode_jpeg(data, "RGB")
        height, width = pixels.shape[:2]
        side = 0.875 * min(height, width)
        box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
        image = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BICUBIC, box=box)
        return self.session.run(["probabilities", "novelty"], {"image": np.asarray(image)[None]})

    def encode_response(self, output):
        scores = output[0][0]
        order = np.argsort(-scores)[: int(sys.argv[3]) or None]
        return {"labels": [{"label": f"class {i}", "score": round(float(scores[i]), 6)} for i in order]}

if __name__ == "__main__":
    server = ls.LitServer(Api(), accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[2]), generate_client_file=False, log_level="error", num_api_servers=1)
"""


def draw(folder: Path, count: int = 16) -> list[Path]:
    """JPEGs of 500 x 375 and about 100 kB: coarse shapes under fine noise, as sensors give."""
    from PIL import Image

    found = []
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = rng.integers(30, 220, (12, 16, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC), np.float32)
        noisy = np.clip(smooth + rng.normal(0, 13, smooth.shape), 0, 255).astype(np.uint8)
        found.append(folder / f"{number}.jpg")
        Image.fromarray(noisy).save(found[-1], quality=93)
    return found


def path(given: argparse.Namespace) -> str:
    return f"/v1/predict?top={given.top}" if given.top else "/v1/predict"


def bare(model: str, pictures: list[Path], seconds: float) -> float:
    """Pictures a second of two threads that decode and ask the session, in this very process: no HTTP, no queue, no JSON."""
    from sightline.runtime.model import load
    from sightline.runtime.pixels import prepare

    loaded = load(model, 2)
    data = [path.read_bytes() for path in pictures]
    for one in data[:4]:
        loaded.answer(prepare(one, loaded.card.input)[None])
    counts = [0, 0]
    start = time.perf_counter()

    def work(thread: int) -> None:
        number = thread
        while time.perf_counter() - start < seconds:
            loaded.answer(prepare(data[number % len(data)], loaded.card.input)[None])
            counts[thread] += 1
            number += 2

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


@contextlib.contextmanager
def running(command: list[str], ready: str) -> Iterator[int]:
    """A server process and its port ({port} in the command), ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [part.replace("{port}", str(port)) for part in command]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None:
                    raise SystemExit(f"{' '.join(line)} ended with {process.returncode}") from None
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # LitServe leaves its workers behind
        process.wait()


def ours(model: str, *options: str) -> contextlib.AbstractContextManager[int]:
    code = "from sightline.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", model, "--no-pages", "--port", "{port}", "--threads", "2", *options]
    return running(command, "/health/ready")


def load(port: int, path: str, pictures: list[Path], *options: object) -> Load:
    command = [sys.executable, str(HERE / "load.py"), str(port), path, *map(str, pictures), *map(str, options)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rate(result: Load) -> float:
    if set(result) != {"200"}:
        raise SystemExit(f"not every request was answered: {result}")
    return result["200"]["per_second"]


def throughput(given: argparse.Namespace, pictures: list[Path], folder: Path) -> tuple[list[str], dict[str, Any], float]:
    rates: dict[str, list[float]] = {"bare loop": [], "sightline": []}
    latest: Load = {}
    script = folder / "litserve_app.py"
    if given.litserve:
        rates["LitServe"] = []
        script.write_text(LITSERVE)
    onnx = str(Path(given.model) / "model.onnx")
    timing = ("--callers", given.callers, "--seconds", given.seconds)
    for run in range(-1, given.runs):
        found = {"bare loop": bare(given.model, pictures, given.seconds)}
        with ours(given.model) as port:
            load(port, path(given), pictures, "--callers", given.callers, "--seconds", 1)
            latest = load(port, path(given), pictures, *timing)
            found["sightline"] = rate(latest)
        if given.litserve:
            with running([given.litserve, str(script), onnx, "{port}", str(given.top)], "/health") as port:
                load(port, "/predict", pictures, "--callers", given.callers, "--seconds", 1)
                found["LitServe"] = rate(load(port, "/predict", pictures, *timing))
        if run >= 0:
            for name, value in found.items():
                rates[name].append(value)
    lines = ["", "| server | answers/s (median, range) | of the bare loop |", "|---|---|---|"]
    for name, values in rates.items():
        pairs = [value / base for value, base in zip(values, rates["bare loop"], strict=True)]
        lines.append(f"| {name} | {spread(values)} | {spread(pairs)} |")
    if given.litserve:
        pairs = [a / b for a, b in zip(rates["sightline"], rates["LitServe"], strict=True)]
        lines.append(f"\nsightline / LitServe: {spread(pairs)}")
    times = latest["200"]
    lines.append(f"\nlatency at {given.callers} callers: p50 {times['p50_ms']:.1f} ms, p99 {times['p99_ms']:.1f} ms")
    return lines, {"rates": rates}, statistics.median(rates["sightline"])


def overload(given: argparse.Namespace, pictures: list[Path], capacity: float) -> tuple[list[str], dict[str, Any]]:
    lines = ["", f"Overload: {5 * capacity:.0f} arrivals/s, five times {capacity:.0f}/s"]
    facts: dict[str, Any] = {}
    with ours(given.model) as port:
        load(port, path(given), pictures, "--callers", 4, "--seconds", 1)
        facts["idle, 1 caller"] = load(port, path(given), pictures, "--callers", 1, "--seconds", given.seconds)["200"]
        busy = load(port, path(given), pictures, "--callers", given.callers, "--seconds", given.seconds)
        facts[f"{given.callers} callers"] = busy["200"]
        result = load(port, path(given), pictures, "--rate", 5 * capacity, "--seconds", max(10, given.seconds))
        facts["overload, admitted"] = result.get("200", {})
        facts["overload, refused (429)"] = result.get("429", {})
        facts["after"] = load(port, path(given), pictures, "--callers", given.callers, "--seconds", 2)["200"]
        facts["broken"] = result.get("0", {}).get("count", 0)
    lines += ["", "| | count/s | p50 ms | p90 ms | p99 ms | max ms |", "|---|---|---|---|---|---|"]
    for name, times in facts.items():
        if isinstance(times, dict) and times:
            cells = " | ".join(f"{times[key]:.1f}" for key in ("per_second", "p50_ms", "p90_ms", "p99_ms", "max_ms"))
            lines.append(f"| {name} | {cells} |")
    admitted, idle = facts["overload, admitted"], facts["idle, 1 caller"]
    lines.append(f"\nadmitted p99 / idle p99: {admitted['p99_ms'] / idle['p99_ms']:.2f}; broken connections: {facts['broken']}")
    return lines, {"overload": facts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a bundle folder, MobileNetV2 size")
    parser.add_argument("--litserve", help="a Python with litserve, onnxruntime, simplejpeg and pillow installed")
    parser.add_argument(
        "--top", type=int, default=0, help="labels in an answer, of both servers; 0: every class, the default of both"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--only-overload", type=float, metavar="CAPACITY", help="skip the throughput part; answers/s to take")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = draw(folder)
        size = statistics.mean(path.stat().st_size for path in pictures) / 1000
        lines = [versions("onnxruntime", "uvicorn", "fastapi"), f"{len(pictures)} JPEGs of {size:.0f} kB"]
        facts: dict[str, Any] = {}
        capacity = given.only_overload
        if capacity is None:
            more, facts, capacity = throughput(given, pictures, folder)
            lines += more
        more, found = overload(given, pictures, capacity)
        report("serve", lines + more, {**facts, **found})


if __name__ == "__main__":
    main()
