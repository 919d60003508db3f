"""Does the order of frames tell? Drawn balls (left or right, growing or shrinking, turning either way): a recurrent network
against the frame average, on clips drawn apart. `python bench/clips.py [--each 60] [--cell gru] [--pairs way,size,turn]`
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from clipdrawings import PAIRS, draw
from harness import machine, report
from sightline.verbs.evaluate import evaluate
from sightline.verbs.train import train


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--each", type=int, default=60, help="training clips of each class")
    asked.add_argument("--cell", choices=("gru", "lstm"), default="gru")
    asked.add_argument("--pairs", default=",".join(PAIRS))
    given = asked.parse_args()
    lines, facts = [machine()], {}
    for kind in given.pairs.split(","):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            data = draw(place / "train", kind, given.each)
            result = train(data, out=place / "model", cell=given.cell)
            tested = evaluate(draw(place / "test", kind, given.each, seed=1), model=str(place / "model")).scores["top1"]
            lines.append(f"{kind}: {tested.value:.1%} ({tested.low:.1%}-{tested.high:.1%}) of {tested.n} clips; {result.why}")
            facts[kind] = {"top1": tested.model_dump(), "why": result.why, "backbone": result.backbone}
    report("clips", lines, facts)


if __name__ == "__main__":
    main()
