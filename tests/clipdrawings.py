"""Drawn clips in which no single frame tells the class: a ball goes left or right, grows or shrinks, turns this way or that.

Colours, backgrounds, sizes, heights and speeds vary; a clip and the same clip backwards are equally likely in the two classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIDE = 64
PAIRS = {"way": ("left", "right"), "size": ("growing", "shrinking"), "turn": ("anticlockwise", "clockwise")}


def ball(kind: str, backwards: bool, rng: np.random.Generator, frames: int = 20, side: int = SIDE) -> np.ndarray:
    """A clip of the pair `kind`: uint8 (frames, side, side, 3); `backwards` is the second class."""
    first, second = rng.integers(0, 256, (2, 3))
    while np.abs(first.astype(int) - second).sum() < 200:
        first, second = rng.integers(0, 256, (2, 3))
    y, x = np.mgrid[:side, :side] / side
    slope = rng.uniform(-40, 40, 2)
    ground = first + (slope[0] * (x - 0.5) + slope[1] * (y - 0.5))[..., None]
    ground = ground + rng.normal(0, 6, ground.shape)
    radius, at = rng.uniform(0.08, 0.16), np.linspace(0, 1, frames)
    if kind == "way":
        low, high = rng.uniform(0.05, 0.3), rng.uniform(0.7, 0.95)
        across, down = low + (high - low) * (1 - at), np.full(frames, rng.uniform(0.2, 0.8))
        sizes = np.full(frames, radius)
    elif kind == "size":
        across, down = np.full(frames, rng.uniform(0.35, 0.65)), np.full(frames, rng.uniform(0.35, 0.65))
        sizes = 0.06 + (rng.uniform(0.2, 0.35) - 0.06) * at
    else:
        angle = rng.uniform(0, 2 * np.pi) - 2 * np.pi * rng.uniform(0.7, 1.4) * at
        reach = rng.uniform(0.2, 0.32)
        across, down, sizes = 0.5 + reach * np.cos(angle), 0.5 + reach * np.sin(angle), np.full(frames, radius)
    if backwards:
        across, down, sizes = across[::-1], down[::-1], sizes[::-1]
    drawn = np.empty((frames, side, side, 3))
    for number in range(frames):
        inside = (x - across[number]) ** 2 + (y - down[number]) ** 2 < sizes[number] ** 2
        drawn[number] = np.where(inside[..., None], second, ground)
    return np.rint(drawn + rng.normal(0, 4, drawn.shape)).clip(0, 255).astype(np.uint8)


def save(path: Path, frames: np.ndarray, rate: int = 12) -> Path:
    """The clip as a video (mp4, webm, avi) or GIF, by the name's ending."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    codecs = {".gif": ("gif", "rgb8"), ".webm": ("libvpx", "yuv420p"), ".avi": ("mjpeg", "yuvj420p")}
    codec, form = codecs.get(path.suffix, ("mpeg4", "yuv420p"))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = form
        if codec != "gif":
            stream.bit_rate = 800_000
        for pixels in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def draw(out: Path, kind: str, each: int, seed: int = 0, suffix: str = ".mp4", frames: int = 20) -> Path:
    """Class folders with `each` clips of both classes of a pair."""
    rng = np.random.default_rng(seed)
    for backwards, name in enumerate(PAIRS[kind]):
        for number in range(each):
            save(out / name / f"{number:04d}{suffix}", ball(kind, bool(backwards), rng, frames))
    return out
