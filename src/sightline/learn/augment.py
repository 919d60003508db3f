"""Random changes of a batch of pictures while training: one affine resampling, one colour matrix, noise, erasing and mixing.

What only single pictures can have (bending, blur, RandAugment) is in transforms.py. Knows no labels' names.

Every random number comes from the generator that is passed in: the same generator state gives the same batch, whatever else
the program drew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from sightline.learn.recipes import Changes, written

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, slots=True)
class Augment:
    """How much a picture may change; 0 switches a change off.

    `flip` mirrors half of the pictures. It must be off where left and right mean something (arrows, writing, "left"/"right" in
    the class names, drawn symbols): whoever makes the plan decides. `view` is the share of the stored picture that is seen at
    rest: below 1 when training pictures are stored with room around the crop.
    """

    flip: bool = True
    degrees: float = 12.0  # rotation up to this much either way
    scale: float = 0.35  # zoom by up to 1 + scale either way (log-uniform)
    aspect: float = 0.15  # sides stretched against each other by up to exp(aspect)
    shift: float = 0.06  # moved by up to this share of a side
    colour: float = 0.3  # brightness, contrast and saturation by up to this share
    erase: float = 0.0  # probability that one rectangle of 2-20 % of the picture is blanked (arXiv 1708.04896)
    mixup: float = 0.0  # Beta(mixup, mixup) of two pictures (arXiv 1710.09412)
    cutmix: float = 0.0  # probability of pasting a rectangle of another picture instead (arXiv 1905.04899)
    view: float = 1.0
    crop: float = 1.0  # a part with at least this share of the picture's area is seen, anywhere in it (arXiv 1409.4842)
    noise: float = 0.0  # Gaussian, with a sigma of up to this share of full white
    pixels: int = 0  # moved by up to so many whole pixels, mirrored at the edge: small pictures are not blurred by it
    each: tuple[str, ...] = ()  # changes of every picture by itself, before these here: "blur:0.005" (transforms.py)


NONE = Augment(flip=False, degrees=0, scale=0, aspect=0, shift=0, colour=0)
_FIELDS = {"rotate": "degrees", "translate": "shift"}  # a recipe's word -> the field, where they differ


def asked_for(changes: Changes) -> Augment:
    """What a recipe's text asks for: everything in it that whole batches can have, the rest picture by picture."""
    amounts: dict[str, float | bool] = {_FIELDS.get(name, name): amount for name, amount in changes.by("batch").items()}
    amounts["flip"] = "flip" in amounts
    single = tuple(written(name, amount) for name, amount in changes.by("picture").items())
    return replace(NONE, **amounts, each=single)  # type: ignore[arg-type]


def augment(
    images: Tensor, targets: Tensor, how: Augment, size: int, generator: Generator, *, fill: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Pictures (n, h, w, 3) uint8 and soft targets (n, classes) float to changed pictures (n, size, size, 3) float in 0..255
    and targets.

    What comes in from outside the picture is `fill` (3 values in 0..255; default mid-grey), the ground that letterboxed
    pictures have.
    """
    ground = torch.full((1, 3, 1, 1), 127.0, device=images.device) if fill is None else fill.view(1, 3, 1, 1).to(images.device)
    if how.pixels:
        images = _moved(images, how.pixels, generator)
    pixels = images.permute(0, 3, 1, 2).float() - ground  # the ground is zero from here on: grid_sample's own padding
    if _moves(how) or pixels.shape[-2:] != (size, size):
        read_from = _affine(len(images), how, generator).to(images.device)
        grid = functional.affine_grid(read_from, [len(images), 3, size, size], align_corners=False)
        pixels = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    elif how.flip:
        chosen = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
        pixels = torch.where(chosen.view(-1, 1, 1, 1), pixels.flip(3), pixels)
    if how.colour:
        pixels = recolour(pixels, ground, how.colour, generator)
    if how.noise:
        sigma = torch.rand(len(images), 1, 1, 1, generator=generator) * (255 * how.noise)
        pixels = pixels + (torch.randn(pixels.shape, generator=generator) * sigma).to(images.device)
    if how.erase:
        chosen = torch.rand(len(images), generator=generator) < how.erase
        pixels = pixels * _outside(_rectangles(len(images), (0.02, 0.2), generator), chosen, size, images.device)
    if how.mixup or how.cutmix:
        pixels, targets = _mix(pixels, targets, how, size, generator)
    return (pixels + ground).permute(0, 2, 3, 1), targets


def _moves(how: Augment) -> bool:
    """Whether positions between pixels are read: mirroring alone needs none."""
    return how.view != 1 or how.crop != 1 or any((how.degrees, how.scale, how.aspect, how.shift))


def _moved(images: Tensor, most: int, generator: Generator) -> Tensor:
    """Pictures (n, h, w, 3) cut out of themselves with mirrored edges, each at a place of its own."""
    n, height, width, _ = images.shape
    down, across = (
        torch.randint(-most, most + 1, (n, 1), generator=generator) + torch.arange(side) for side in (height, width)
    )
    rows, columns = (_mirrored(places, side).to(images.device) for places, side in ((down, height), (across, width)))
    return images[torch.arange(n, device=images.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _mirrored(places: Tensor, side: int) -> Tensor:
    """Places outside 0..side - 1 mirrored at the first and the last one."""
    return (side - 1) - ((side - 1) - places.abs()).abs()


def _uniform(n: int, generator: Generator) -> Tensor:
    """n numbers in -1..1."""
    return torch.rand(n, generator=generator) * 2 - 1


def _affine(n: int, how: Augment, generator: Generator) -> Tensor:
    """(n, 2, 3): where each output position is read from, in the -1..1 coordinates of the stored picture."""
    scale = how.view * torch.exp(_uniform(n, generator) * math.log1p(how.scale))
    aspect = torch.exp(_uniform(n, generator) * how.aspect)
    angle = _uniform(n, generator) * math.radians(how.degrees)
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0) if how.flip else torch.ones(n)
    x, y = scale * aspect * mirror, scale / aspect
    move_x, move_y = (_uniform(n, generator) * 2 * how.shift for _ in range(2))
    if how.crop < 1:
        side = (how.crop + torch.rand(n, generator=generator) * (1 - how.crop)).sqrt()
        x, y = x * side, y * side
        move_x, move_y = (move + _uniform(n, generator) * how.view * (1 - side) for move in (move_x, move_y))
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([torch.stack([x * cos, -sin * y, move_x], 1), torch.stack([sin * x, cos * y, move_y], 1)], 1)


def recolour(pixels: Tensor, ground: Tensor, strength: float, generator: Generator) -> Tensor:
    """Saturation, contrast around the picture's mean, and brightness as one 3 x 3 matrix and one offset for each picture."""
    n, _, height, width = pixels.shape
    saturation, contrast, brightness = ((1 + _uniform(n, generator) * strength).to(pixels.device) for _ in range(3))
    luma = torch.tensor(LUMA, device=pixels.device)
    grey = luma.expand(3, 3)  # every row weighs R, G, B into grey
    matrix = saturation.view(n, 1, 1) * torch.eye(3, device=pixels.device) + (1 - saturation).view(n, 1, 1) * grey
    matrix = matrix * (contrast * brightness).view(n, 1, 1)
    flat = pixels.reshape(n, 3, height * width)
    mean = (flat.mean(2) @ luma + ground.view(3) @ luma).view(n, 1)
    # colours c = flat + ground become brightness * (contrast * (S c) + (1 - contrast) * mean); then the ground is subtracted
    # again
    base = (matrix @ ground.view(3, 1)).squeeze(2) - ground.view(1, 3)
    offset = base + (brightness * (1 - contrast)).view(n, 1) * mean
    return torch.baddbmm(offset.unsqueeze(2), matrix, flat).view(n, 3, height, width)


def _rectangles(n: int, area: tuple[float, float], generator: Generator) -> Tensor:
    """(n, 4) rectangles x0, y0, x1, y1 in 0..1 with a share of the picture in `area`."""
    low, high = area
    share = low + torch.rand(n, generator=generator) * (high - low)
    aspect = torch.exp(_uniform(n, generator) * 0.7)
    width, height = (share * aspect).sqrt().clamp(max=1), (share / aspect).sqrt().clamp(max=1)
    x, y = torch.rand(n, generator=generator) * (1 - width), torch.rand(n, generator=generator) * (1 - height)
    return torch.stack([x, y, x + width, y + height], 1)


def _outside(rectangles: Tensor, chosen: Tensor, size: int, device: torch.device) -> Tensor:
    """(n, 1, size, size): 0 inside the rectangle of a chosen picture, 1 elsewhere."""
    centres = (torch.arange(size, device=device) + 0.5) / size
    x0, y0, x1, y1 = rectangles.to(device).view(-1, 4, 1).unbind(1)
    across, down = (centres >= x0) & (centres < x1), (centres >= y0) & (centres < y1)
    inside = down.unsqueeze(2) & across.unsqueeze(1) & chosen.to(device).view(-1, 1, 1)
    return (~inside).unsqueeze(1).float()


def _mix(pixels: Tensor, targets: Tensor, how: Augment, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Each picture with the one before it in the batch (batches are shuffled already); targets mix in the same proportion."""
    n = len(pixels)
    other, other_targets = pixels.roll(1, 0), targets.roll(1, 0)
    if how.cutmix and (not how.mixup or float(torch.rand(1, generator=generator)) < how.cutmix):
        chosen = torch.rand(n, generator=generator) < how.cutmix if not how.mixup else torch.ones(n, dtype=torch.bool)
        keep = _outside(_rectangles(n, (0.05, 0.5), generator), chosen, size, pixels.device)
        share = keep.mean((1, 2, 3)).view(n, 1)
        return torch.where(keep.bool(), pixels, other), targets * share + other_targets * (1 - share)
    weight = _beta(n, how.mixup, generator).to(pixels.device)
    weight = torch.maximum(weight, 1 - weight)
    mixed = torch.lerp(other, pixels, weight.view(n, 1, 1, 1))
    return mixed, targets * weight.view(n, 1) + other_targets * (1 - weight.view(n, 1))


def _beta(n: int, alpha: float, generator: Generator) -> Tensor:
    """n draws of Beta(alpha, alpha) as a ratio of two Gamma draws."""
    shape = torch.full((2, n), alpha)
    draws = torch._standard_gamma(shape, generator=generator).clamp_min(1e-12)
    return draws[0] / draws.sum(0)
