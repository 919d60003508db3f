"""A dataset of 1,000,000 pictures in the workspace: add, list, show, diff, split, get; seconds and peak memory of each.

Every step runs in a fresh process on the same database, so that the peak is its own; no pictures are read, only rows.
    python bench/store.py [ROWS] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import report, versions

CLASSES = 100
STEPS = {
    "add": "rows new to the workspace",
    "add again": "the same version: every row is known",
    "add changed": "a version with 1 % relabelled, 1 % new, 1 % gone",
    "list": "every version with its counts",
    "show": "one of them",
    "split": "15 % val, 10 % test; 10 % of the pictures are copies, 5 % in groups; written as a version",
    "diff": "between the version and the changed one",
    "diff of splits": "between the version and the divided one",
    "get": "every picture as a record",
}


def pictures(count: int, *, changed: bool):
    """`count` made-up pictures, one by one: 100 classes, every tenth a copy of another, every twentieth in a group."""
    from sightline.types import Annotation, Item

    labels = [(Annotation(label=f"class {number}", origin="import:folders"),) for number in range(CLASSES)]
    fields = set(Item.model_fields)
    for number in range(count):
        truth = labels[number % CLASSES]
        name = f"class {number % CLASSES}/{number:07d}.jpg"
        if changed and number % 100 == 7:
            truth = labels[(number + 1) % CLASSES]
        elif changed and number % 100 == 8:
            name = f"new/{number}.jpg"
        elif changed and number % 100 == 9:
            continue
        content = number - 100 if number % 10 == 3 and number > 100 else number
        sha256 = hashlib.sha256(b"%d %d" % (content, changed and name.startswith("new/"))).hexdigest()
        group = f"clip {number // 40}" if number % 20 == 5 else None
        uri = f"/pictures/{name}"
        yield Item.model_construct(fields, uri=uri, name=name, truth=truth, split=None, group=group, sha256=sha256, facts=None)


def step(name: str, count: int) -> object:
    """One step; what it tells goes into the results."""
    from sightline.store import datasets, names
    from sightline.store.database import database
    from sightline.types import Dataset, Made

    db = database()
    made = Made(verb="bench")
    if name.startswith("add"):
        frame = Dataset(name="bench", task="multiclass", classes=tuple(f"class {n}" for n in range(CLASSES)), items=())
        changed = name == "add changed"
        hash_ = datasets.add_items(db, frame, pictures(count, changed=changed), made)
        names.point(db, "dataset", "changed" if changed else "whole", hash_, "bench")
        return hash_[:12]
    if name == "list":
        return [version.pictures for version in datasets.versions(db)]
    if name == "show":
        return datasets.summary(db, "whole").sizes
    if name == "split":
        hash_ = datasets.split(db, "whole", made, val=0.15, test=0.1)
        names.point(db, "dataset", "divided", hash_, "bench")
        return datasets.summary(db, hash_).sizes
    if name == "get":
        return len(datasets.get(db, "divided").items)
    return datasets.diff(db, "whole", "changed" if name == "diff" else "divided").counts


def child(name: str, count: int) -> None:
    begun = time.perf_counter()
    told = step(name, count)
    took = time.perf_counter() - begun
    peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"seconds": took, "cpu": time.process_time(), "peak_mb": peak / 1000, "told": told}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="folder for the workspace, kept afterwards")
    parser.add_argument("--step", choices=STEPS, help="only this one, in this process")
    asked = parser.parse_args()
    if asked.step:
        child(asked.step, asked.rows)
        return
    head = "| step | seconds | processor seconds | peak MB | told |"
    lines = [f"{asked.rows:,} pictures, SQLite", head, "|---|---|---|---|---|"]
    facts: dict[str, object] = {"versions": versions("sqlalchemy", "numpy")}
    with tempfile.TemporaryDirectory() as folder:
        home = str(asked.keep or folder)
        for name in STEPS:
            command = [sys.executable, __file__, str(asked.rows), "--step", name]
            environ = {**os.environ, "SIGHTLINE_HOME": home}
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr}")
            facts[name] = found = json.loads(done.stdout.splitlines()[-1])
            numbers = f"{found['seconds']:.1f} | {found['cpu']:.1f} | {found['peak_mb']:.0f}"
            lines.append(f"| {name} | {numbers} | {found['told']} |")
            print(lines[-1], file=sys.stderr)
        size = Path(home, "sightline.db").stat().st_size / 1e6
        lines.append(f"the database has {size:.0f} MB")
    report("store", lines, facts)


if __name__ == "__main__":
    main()
