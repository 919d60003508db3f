"""What the teacher answers for every view, computed once and kept: SET.f16 (count, width) in the folder of the run.

The teacher is MobileNetV2 (ImageNet, Apache-2.0) at 192 px. Its logits follow from its features by one matrix, so features are
all that is kept. A set that was begun goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crops import render, view
from photographs import Photograph

SIZE = 192  # px a side
NAME = "mobilenetv2_100"
CHUNK = 512


def graph(weights: Path, size: int = SIZE) -> bytes:
    """ONNX of the teacher without its classifier: uint8 (n, size, size, 3) -> `embedding` (n, 1280)."""
    import torch
    from torch import nn

    from sightline.learn.graph import exported

    network = body(weights)

    class Seen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network((x.permute(0, 3, 1, 2).float() - 127.5) / 127.5)

    return exported(Seen(), torch.zeros(2, size, size, 3, dtype=torch.uint8), "embedding")


def body(weights: Path):
    """The pretrained network without its classifier, normalised (n, 3, h, w) -> (n, 1280), in evaluation mode."""
    import timm
    from safetensors.torch import load_file

    network = timm.create_model(NAME, num_classes=0, pad_type="same")
    state = load_file(weights / f"{NAME}.safetensors")
    network.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("classifier.")})
    return network.eval()


def classifier(weights: Path):
    """Weight (1000, 1280) and bias (1000,) that make ImageNet's logits of its features."""
    from safetensors.torch import load_file

    state = load_file(weights / f"{NAME}.safetensors")
    return state["classifier.weight"], state["classifier.bias"]


def answers(photographs: Sequence[Photograph], model: bytes, run: Path, set_: int, threads: int) -> NDArray[np.float16]:
    """Features (count, width) of set `set_`, computed where they lack and kept."""
    import onnxruntime

    path, part = run / f"{set_:02d}.f16", run / f"{set_:02d}.part"
    count = len(photographs)
    if path.exists():
        return np.load(path, mmap_mode="r")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    done = [np.load(piece) for piece in sorted(part.glob("*.npy"))] if part.exists() else []
    part.mkdir(parents=True, exist_ok=True)

    def one(number: int) -> NDArray[np.float16]:
        pixels = render(photographs, view(number, count, set_), SIZE)
        return session.run(["embedding"], {session.get_inputs()[0].name: pixels[None]})[0][0].astype(np.float16)

    begun, before = time.perf_counter(), sum(map(len, done))
    with ThreadPoolExecutor(threads) as pool:
        for first in range(before, count, CHUNK):
            done.append(np.stack(list(pool.map(one, range(first, min(count, first + CHUNK))))))
            np.save(part / f"{first:06d}.npy", done[-1])
            if first // CHUNK % 10 == 0:
                now = first + len(done[-1])
                print(f"set {set_}: {now} of {count}, {(now - before) / (time.perf_counter() - begun):.0f}/s", flush=True)
    np.save(run / "new.npy", np.concatenate(done))
    (run / "new.npy").replace(path)
    for piece in part.glob("*.npy"):
        piece.unlink()
    part.rmdir()
    return np.load(path, mmap_mode="r")
