"""Start-up: `sightline --help`, `import sightline`, and the first answer of `sightline predict one.jpg` in a fresh process.

Wall seconds and the largest resident memory, as the operating system accounts for the finished process; median of n runs.

    python bench/start.py --model MODEL one.jpg
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from harness import report, spread, versions


def run(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident megabytes of one run."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    if status:
        raise SystemExit(f"{command} failed: {process.stderr.read().decode() if process.stderr else ''}")
    process.returncode = 0
    return took, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("--model", required=True)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    program = str(Path(sys.executable).parent / "sightline")
    commands = {
        "sightline --help": [program, "--help"],
        "sightline predict --help": [program, "predict", "--help"],
        "import sightline": [sys.executable, "-c", "import sightline"],
        "python alone": [sys.executable, "-c", "pass"],
        "sightline predict one.jpg": [program, "predict", options.picture, "--model", options.model],
        "the same with --json": [program, "predict", options.picture, "--model", options.model, "--json"],
    }
    lines, facts = [f"median (lowest-highest) of {options.runs} runs; {versions('onnxruntime', 'cyclopts')}"], {}
    for name, command in commands.items():
        run(command)
        runs = [run(command) for _ in range(options.runs)]
        facts[name] = runs
        memory = statistics.median(megabytes for _, megabytes in runs)
        lines.append(f"{name:>28}: {spread([took for took, _ in runs])} s, {memory:.0f} MB")
    report("start", lines, {"runs": facts})


if __name__ == "__main__":
    main()
