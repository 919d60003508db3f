"""Changes of one picture with all that is marked on it, by torchvision.transforms.v2: boxes, points and masks follow.

Random numbers come from the seed that is given with a picture: the same seed gives the same picture, whatever else was drawn.
Knows no labels, no files and no batches' mixing (MixUp, CutMix: augment.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms import v2

from sightline.learn.reproduce import seed_of
from sightline.runtime.fitting import GREY

Floats = NDArray[np.float32]

GROUND = torch.tensor(GREY, dtype=torch.float32).view(3, 1, 1)  # what comes in from outside a picture
HALF = 0.5  # share of the pictures that are seen aslant, bent or blurred
BENDS = 5  # points a side of the coarse grid that an elastic change moves (Ronneberger et al. 2015 took 3)


@dataclass(frozen=True, slots=True)
class Varied:
    """A changed picture. Places are in its own pixels and may lie outside of it: whoever keeps them clips them."""

    pixels: NDArray[np.uint8]  # (h, w, 3)
    boxes: Floats  # (n, 4) the smallest upright box around what the corners became
    points: Floats  # (m, 2)
    masks: NDArray[np.uint8]  # (k, h, w)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`moves` change where things are, `looks` only how they look."""

    moves: tuple[v2.Transform, ...]
    looks: tuple[v2.Transform, ...]


def pipeline(amounts: Mapping[str, float], *, marked: bool = False) -> Pipeline:
    """The transforms of a recipe's amounts (recipes.py), mixing left out.

    `marked`: RandAugment and TrivialAugment, which cannot take boxes along, then change colours only.
    """
    return _built(tuple(amounts.items()), marked)


def varied(
    pixels: NDArray[np.uint8],
    how: Pipeline,
    seed: int,
    *,
    boxes: Floats | Sequence[Sequence[float]] = (),
    points: Floats | Sequence[Sequence[float]] = (),
    masks: NDArray[Any] | None = None,
) -> Varied:
    """A changed copy of a picture uint8 (h, w, 3); boxes (n, 4) x0 y0 x1 y1, points (m, 2) and masks (k, h, w) follow."""
    height, width = pixels.shape[:2]
    canvas = (height, width)
    marks = {
        "boxes": tv_tensors.BoundingBoxes(
            torch.as_tensor(np.asarray(boxes, np.float32).reshape(-1, 4)), format="XYXY", canvas_size=canvas, clamping_mode=None
        ),
        "points": tv_tensors.KeyPoints(torch.as_tensor(np.asarray(points, np.float32).reshape(-1, 2)), canvas_size=canvas),
        "masks": tv_tensors.Mask(
            torch.as_tensor(np.zeros((0, *canvas)) if masks is None else np.asarray(masks)).to(torch.uint8)
        ),
    }
    scene: dict[str, Any] = {name: mark for name, mark in marks.items() if len(mark)}
    scene["image"] = tv_tensors.Image(torch.from_numpy(np.array(pixels)).permute(2, 0, 1))
    with torch.random.fork_rng(devices=[]), torch.inference_mode(), _one_thread():
        torch.manual_seed(seed)
        scene = _moved(scene, how.moves)
        for look in how.looks:
            scene["image"] = look(scene["image"])
    image = scene["image"].as_subclass(Tensor)
    found = {name: scene.get(name, mark).as_subclass(Tensor).numpy() for name, mark in marks.items()}
    masked = found["masks"] if "masks" in scene else np.zeros((0, *image.shape[1:]), np.uint8)
    return Varied(image.permute(1, 2, 0).contiguous().numpy(), found["boxes"], found["points"], masked)


def each(images: Tensor, how: tuple[str, ...], seed: int, first: int) -> Tensor:
    """Pictures (n, h, w, 3) uint8 of a batch, each changed by itself, as "name:amount" says; the same shape.

    Random numbers come from `seed` and the picture's place among all that this training looks at, `first` and following; the
    global generator is left where that ends.
    """
    built = _read(how)
    changed = []
    with torch.inference_mode(), _one_thread():
        for place, image in enumerate(images):
            torch.manual_seed(seed_of(seed, "picture", first + place))
            picture = _moved({"image": tv_tensors.Image(image.permute(2, 0, 1))}, built.moves)["image"]
            for look in built.looks:
                picture = look(picture)
            changed.append(picture.as_subclass(Tensor))
    return torch.stack(changed).permute(0, 2, 3, 1).clone()  # a clone is no inference tensor: autograd may see it


def _moved(scene: dict[str, Any], moves: tuple[v2.Transform, ...]) -> dict[str, Any]:
    """All moves of a picture and its marks. In between the ground is zero, which is what resampling blends with at an edge:
    torchvision's own filling leaves a dark line there.
    """
    if not moves:
        return scene
    image = scene["image"]
    ground = GROUND.to(image.device)
    scene["image"] = tv_tensors.wrap(image - ground, like=image)
    for move in moves:
        scene = move(scene)
    image = scene["image"]
    scene["image"] = tv_tensors.wrap((image + ground).round_().clamp_(0, 255).to(torch.uint8), like=image)
    return scene


@contextmanager
def _one_thread() -> Iterator[None]:
    """One picture is too little work to share out: two threads took 3 times the time of one, 50 times on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=16)
def _read(how: tuple[str, ...]) -> Pipeline:
    return pipeline({name: float(amount) for name, _, amount in (word.partition(":") for word in how)})


@lru_cache(maxsize=16)
def _built(items: tuple[tuple[str, float], ...], marked: bool) -> Pipeline:
    given = dict(items)
    # elastic first: torchvision moves only points that lie inside the picture
    moves = [_MOVES[name](given[name]) for name in ("elastic", "perspective", "flip", "crop") if name in given]
    if given.keys() & {"rotate", "scale", "translate"}:  # one resampling for all three
        far, much = given.get("translate", 0.0), 1 + given.get("scale", 0.0)
        moves.append(
            v2.RandomAffine(
                given.get("rotate", 0.0),
                translate=(far, far) if far else None,
                scale=(1 / much, much) if much > 1 else None,
                interpolation=v2.InterpolationMode.BILINEAR,
                fill=None,
            )
        )
    if "aspect" in given:
        moves.append(Stretch(given["aspect"]))
    looks: list[v2.Transform] = []
    if given.keys() & {"colour", "hue"}:
        light = given.get("colour", 0.0)
        looks.append(v2.ColorJitter(light, light, light, given.get("hue", 0.0)))
    looks += [_LOOKS[name](given[name], marked) for name in _LOOKS if name in given]
    return Pipeline(tuple(moves), tuple(looks))


# --- what torchvision lacks, or has in pixels where pictures differ in size


class Mirror(v2.RandomHorizontalFlip):  # type: ignore[misc]
    """Left for right. Points are places, as boxes are, where torchvision takes them for numbers of pixels: 1 off."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        found = super().transform(inpt, params)
        return (
            tv_tensors.wrap(found + torch.tensor([1.0, 0.0]), like=found) if isinstance(inpt, tv_tensors.KeyPoints) else found
        )


class Cut(v2.RandomResizedCrop):  # type: ignore[misc]
    """A part of the picture with a random share of its area, of any shape near its own, not resized."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return v2.functional.crop(inpt, **params)


class Stretch(v2.Transform):  # type: ignore[misc]
    """One side longer against the other, by up to exp(amount); the area stays."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        factor = float(torch.exp((torch.rand(1) * 2 - 1) * self.amount / 2))
        return {"size": [max(1, round(height / factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return v2.functional.resize(inpt, **params, antialias=True)


class Bend(v2.Transform):  # type: ignore[misc]
    """Smooth random displacement, about `amount` of a side: a coarse grid of random vectors, interpolated."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        size = list(v2.query_size(flat_inputs))
        coarse = torch.randn(1, 2, BENDS, BENDS) * 2 * self.amount  # the picture is 2 wide in these coordinates
        fine = functional.interpolate(coarse, size, mode="bicubic", align_corners=True)
        return {"displacement": fine.permute(0, 2, 3, 1)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        shift = params["displacement"]
        if isinstance(inpt, tv_tensors.KeyPoints):  # torchvision moves them by whole pixels
            return tv_tensors.wrap(_bent(inpt.as_subclass(Tensor), shift), like=inpt)
        if isinstance(inpt, tv_tensors.BoundingBoxes):  # and looks at corners only, where sides may bulge
            x0, y0, x1, y1 = inpt.as_subclass(Tensor).unbind(1)
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            ring = [(x0, y0), (x, y0), (x1, y0), (x1, y), (x1, y1), (x, y1), (x0, y1), (x0, y)]
            moved = _bent(torch.stack([torch.stack(point, 1) for point in ring]).reshape(-1, 2), shift).reshape(
                len(ring), -1, 2
            )
            return tv_tensors.wrap(torch.cat([moved.amin(0), moved.amax(0)], 1), like=inpt)
        return v2.functional.elastic(inpt, shift, fill=None)


def _bent(points: Tensor, shift: Tensor) -> Tensor:
    """Where points (n, 2) in pixels go when each pixel q shows what lay at q + shift (1, h, w, 2): q, found step by step."""
    size = torch.tensor(shift.shape[2:0:-1], dtype=torch.float32)  # width, height
    field, found = shift.permute(0, 3, 1, 2), points
    for _ in range(6):
        there = (found / size * 2 - 1).view(1, 1, -1, 2)
        moved = functional.grid_sample(field, there, padding_mode="border", align_corners=False)
        found = points - moved[0, :, 0].T * size / 2
    return found


class Blur(v2.Transform):  # type: ignore[misc]
    """Gaussian blur with a sigma of up to `amount` of the longer side, rows and columns one after the other."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"sigma": float(torch.rand(1)) * self.amount * max(v2.query_size(flat_inputs))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        sigma = max(params["sigma"], 0.05)
        reach = [min(int(np.ceil(3 * sigma)), side - 1) for side in inpt.shape[:-3:-1]]  # width, height
        for kernel in ([2 * reach[0] + 1, 1], [1, 2 * reach[1] + 1]):
            inpt = v2.functional.gaussian_blur(inpt, kernel_size=kernel, sigma=[sigma, sigma])
        return inpt


class Noise(v2.Transform):  # type: ignore[misc]
    """Gaussian noise with a sigma of up to `amount` of full white."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"sigma": float(torch.rand(1)) * self.amount * 255}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        noise = torch.randn(inpt.shape).to(inpt.device) * params["sigma"]
        return tv_tensors.wrap((inpt + noise).round_().clamp_(0, 255).to(torch.uint8), like=inpt)


def _colours_only(kind: type[v2.Transform]) -> type[v2.Transform]:
    """RandAugment or TrivialAugment without the changes that move things."""
    space = kind._AUGMENTATION_SPACE
    moving = ("Shear", "Translate", "Rotate")
    return type(
        kind.__name__, (kind,), {"_AUGMENTATION_SPACE": {n: how for n, how in space.items() if not n.startswith(moving)}}
    )


def _random_augment(amount: float, marked: bool) -> v2.Transform:
    kind = _colours_only(v2.RandAugment) if marked else v2.RandAugment
    return kind(2, int(amount), fill=list(GREY), interpolation=v2.InterpolationMode.BILINEAR)


def _trivial_augment(_amount: float, marked: bool) -> v2.Transform:
    kind = _colours_only(v2.TrivialAugmentWide) if marked else v2.TrivialAugmentWide
    return kind(fill=list(GREY), interpolation=v2.InterpolationMode.BILINEAR)


_MOVES: dict[str, Any] = {
    "elastic": lambda amount: v2.RandomApply([Bend(amount)], HALF),
    "perspective": lambda amount: v2.RandomPerspective(amount, HALF, fill=None),
    "flip": lambda _: Mirror(HALF),
    "crop": lambda amount: Cut(1, scale=(amount, 1.0), ratio=(0.75, 4 / 3)),
}
_LOOKS: dict[str, Any] = {
    "grey": lambda amount, _: v2.RandomGrayscale(amount),
    "blur": lambda amount, _: v2.RandomApply([Blur(amount)], HALF),
    "noise": lambda amount, _: Noise(amount),
    "randaugment": _random_augment,
    "trivialaugment": _trivial_augment,
    "erase": lambda amount, _: v2.RandomErasing(amount, scale=(0.02, 0.2), value=list(GREY)),
}
