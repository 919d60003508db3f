"""From a student to what lies in the package: float16 weights, the graph in 8 bits, and the card.

    python research/backbone/ship.py RUN STUDENT.pt --shared ../shared [--out src/sightline/learn/own]

The card takes its scores from RUN/scores.json: judge `student=STUDENT.pt`, `graph=OUT/backbone.onnx`, `teacher`, `hog` and
`random` beforehand, then run this again with --card-only.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

import student
from judge import SPEC, features
from photographs import unlabelled
from sightline.learn import own
from sightline.learn.graph import embedding_graph
from sightline.learn.network import Classifier
from sightline.learn.pooled import Pooled
from sightline.runtime.pixels import prepare
from sightline.shrink.calibration import diverse
from sightline.shrink.quantise import int8

POOL, CALIBRATION = 1500, 256  # photographs kept out of the training, and the most varied of them
MOST = 4_000_000  # bytes of both files together


def shipped(path: Path, shared: Path, out: Path) -> None:
    network, kept = student.load(path)
    halves = {name: one.half() if one.is_floating_point() else one for name, one in network.state_dict().items()}
    facts = {"mean": "0.5,0.5,0.5", "std": "0.5,0.5,0.5", "removed": json.dumps(kept["removed"])}
    content = save({name: one.contiguous() for name, one in halves.items()}, facts)
    network.load_state_dict({name: one.float() if one.is_floating_point() else one for name, one in halves.items()})
    pooled = Pooled(network.eval(), SPEC.size)
    graph = embedding_graph(Classifier(pooled, pooled.width, 1, mean=SPEC.mean, std=SPEC.std), SPEC.size)
    held = list(unlabelled(shared / "data/unlabelled", kept_out=True))[:POOL]
    pictures = np.stack([prepare(one.data, SPEC) for one in held])
    chosen = pictures[diverse(features(graph, pictures), CALIBRATION)]
    small = int8(graph, chosen)
    out.mkdir(parents=True, exist_ok=True)
    (out / own.WEIGHTS.name).write_bytes(content)
    (out / own.GRAPH.name).write_bytes(small)
    size = len(content) + len(small)
    print(f"{len(content):,} bytes of weights, {len(small):,} of graph, {size:,} together")
    if size > MOST:
        raise SystemExit(f"that is more than {MOST:,}: prune further (student.py, PARAMETERS)")
    ours, theirs = features(small, pictures[:300]), features(graph, pictures[:300])
    alike = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    print(f"cosine of 8-bit and float features: {alike.mean():.4f}, the worst of 300 {alike.min():.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("student", type=Path)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=own.GRAPH.parent)
    parser.add_argument("--card-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.card_only:
        shipped(options.student, options.shared, options.out)
    kept = torch.load(options.student, weights_only=True)
    book = json.loads((options.run / "scores.json").read_text())
    card = {
        "name": own.NAME,
        "about": "A small general-purpose backbone: MobileNetV2 with fewer channels, taught by the features of the full one.",
        "parameters": sum(one.numel() for name, one in kept["average"].items() if name.endswith(("weight", "bias"))),
        "input": SPEC.model_dump(),
        "works_at": "96 to 160 px a side",
        "teacher": "timm mobilenetv2_100, ImageNet-1k, Apache-2.0, at 192 px; the student began as its most telling channels",
        "samples": kept["sample"],
        "hours": round(kept["seconds"] / 3600, 2),
        "licence": "Apache-2.0",
        "learned_from": (
            "about 24,000 photographs collected from public repositories, most of which state no licence for the pictures "
            "themselves; 3,068 of clothing (CC0), 10,000 of CIFAR-10, 1,000 drawn road signs. No labels were used, no "
            "photograph is passed on, and none can be got back from the weights as far as is known. The teacher's weights come "
            "from ImageNet-1k, whose pictures are for research."
        ),
        "scores": {who: book[name] for who, name in _judged(book, options.student).items() if name in book},
        "limits": (
            "Made for photographs of things and scenes. Drawings, documents, medical and microscope pictures, very small "
            "objects and text are far from what it has seen: compare it with another network there. Skin tones and regions of "
            "the world are not evenly present in its photographs."
        ),
    }
    (options.out / own.CARD.name).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _judged(book: dict[str, object], path: Path) -> dict[str, str]:
    graphs = [name for name in book if name.startswith("graph=") and name.endswith(own.GRAPH.name)]
    graph = graphs[-1] if graphs else ""  # what was judged last
    return {"int8": graph, "float": f"student={path}", "teacher": "teacher", "hog+svm": "hog", "random": "random"}


if __name__ == "__main__":
    main()
