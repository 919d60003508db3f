"""Segmenters: a class for every pixel, learnt from objects' outlines; torchvision's heads on any body of timm.

LR-ASPP (MobileNetV3, arXiv 1905.02244, section 6.4) for speed, DeepLabV3 (arXiv 1706.05587) for care. They learn in the same
loop from the same scenes as detectors: what an outline encloses is its class, all else is background. Writes no bundles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sightline.errors import UsageError
from sightline.learn.augment import Augment
from sightline.learn.detect.bodies import Body, body_of
from sightline.learn.detect.data import BATCH, Scenes, Truth
from sightline.learn.detect.names import Built, Wish
from sightline.learn.detect.network import DetectorNetwork, Found, Target
from sightline.learn.detect.published import BODIES, EPOCHS, FINE, STEPS, start_of
from sightline.learn.network import Trainable
from sightline.learn.plan import Plan, epochs_for
from sightline.learn.reproduce import seed_of
from sightline.learn.step import Parts
from sightline.types import InputSpec

IGNORED = 255  # in a map of classes: neither asked for nor wrong
STRIDES = (8, 16)  # of the maps that the heads look at: the body's last stages are dilated, not shrunk

PLAN = replace(
    FINE,
    size=320,
    ema=0.99,
    augment=Augment(flip=True, degrees=5, scale=0.4, aspect=0.1, shift=0.15, colour=0.3),
)


class Segmenter(DetectorNetwork):
    """A body, a head of torchvision, and the way back to the picture's size. Class 0 is the background."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: Body, head: nn.Module, *, named: bool, classes: int, spec: InputSpec) -> None:
        """`named`: the head takes {"low", "high"} instead of the coarsest map."""
        super().__init__()
        self.backbone = body
        self.head = head
        self.named = named
        self.classes = classes
        self.any_size = True
        self.outputs = ("classes",)
        self.register_buffer("mean", torch.tensor(spec.mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std, dtype=torch.float32).view(1, 3, 1, 1))

    def logits(self, pixels: Tensor) -> Tensor:
        """(n, h, w, 3) in 0..255 to (n, 1 + classes, h, w)."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean * 255) / (self.std * 255)
        low, high = self.backbone(x.contiguous(memory_format=torch.channels_last))
        found = self.head({"low": low, "high": high}) if self.named else self.head(high)
        return functional.interpolate(found.float(), size=pixels.shape[1:3], mode="bilinear", align_corners=False)

    def loss(self, pixels: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Cross-entropy of the pixels that are asked for, and 1 - Dice of the classes (arXiv 1606.04797), which small objects
        weigh in as much as large ones.
        """
        truth = torch.stack([painted(target, pixels.shape[1:3]) for target in targets]).to(pixels.device)
        logits = self.logits(pixels)
        asked = (truth != IGNORED).unsqueeze(1)
        cross = functional.cross_entropy(logits, truth, ignore_index=IGNORED, reduction="sum") / asked.sum().clamp_min(1)
        shown = functional.one_hot(torch.where(truth == IGNORED, 0, truth), self.classes + 1).permute(0, 3, 1, 2) * asked
        given = logits.softmax(1) * asked
        both, sums = (given * shown).sum((0, 2, 3)), given.sum((0, 2, 3)) + shown.sum((0, 2, 3))
        present = shown.sum((0, 2, 3)) > 0
        dice = 1 - ((2 * both + 1) / (sums + 1))[present].mean()
        return {"cross_entropy": cross, "dice": dice}

    def find(self, pixels: Tensor) -> list[Found]:  # noqa: ARG002
        raise UsageError("a segmenter names pixels, not boxes", hint="ask a detector, such as --backbone mask-rcnn")

    def exported(self) -> nn.Module:
        return _Exported(self).eval()


class _Exported(nn.Module):
    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.logits(image).softmax(1)


def painted(target: Target, size: Sequence[int]) -> Tensor:
    """The map of classes int64 (h, w) of a picture: small objects over large ones, crowds and difficult ones IGNORED."""
    canvas = torch.zeros(tuple(size), dtype=torch.int64, device=target.boxes.device)
    for x0, y0, x1, y1 in target.ignored.round().long().tolist():
        canvas[max(y0, 0) : y1, max(x0, 0) : x1] = IGNORED
    if target.masks is not None and len(target.masks):
        for row in target.masks.flatten(1).sum(1).argsort(descending=True).tolist():
            canvas[target.masks[row]] = target.labels[row] + 1
    return canvas


@dataclass(frozen=True, slots=True)
class Fields(Scenes):
    """Scenes as a lesson for segmenters: judged by the mean over the classes, background too, of intersection over union."""

    @property
    def measure(self) -> str:
        return "mean IoU"

    def validate(self, parts: Parts) -> tuple[float, float]:
        """(mean cross-entropy, mean IoU) of the averaged weights; (nan, nan) without validation pictures."""
        if not len(self.val_images):
            return float("nan"), float("nan")
        network = cast(Segmenter, parts.average.model)
        return fields_judged(network, self.val_images, self.val_truth, bf16=parts.plan.precision == "bf16")

    def validation_seconds(self, model: Trainable, plan: Plan, device: torch.device) -> float:
        import time

        some = min(BATCH, len(self.val_images))
        start = time.perf_counter()
        fields_judged(
            cast(Segmenter, model).to(device),
            self.val_images[:some],
            self.val_truth[:some],
            bf16=plan.precision == "bf16",
        )
        return (time.perf_counter() - start) * len(self.val_images) / some


@torch.inference_mode()
def fields_judged(
    network: Segmenter, images: NDArray[np.uint8], truth: Sequence[Truth], *, bf16: bool = False
) -> tuple[float, float]:
    """(mean cross-entropy, mean IoU) over prepared pictures uint8 (n, s, s, 3); the network's mode comes back as it was."""
    device, was_training = next(network.parameters()).device, network.training
    network.eval()
    count = network.classes + 1
    table = torch.zeros((count, count), dtype=torch.int64)
    loss, asked = 0.0, 0
    for start in range(0, len(images), BATCH // 2):
        stored = images[start : start + BATCH // 2]
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network.logits(torch.from_numpy(np.array(stored)).to(device)).float()
        shown = torch.stack([painted(_target(one, images.shape[1]), images.shape[1:3]) for one in truth[start:][: len(stored)]])
        shown = shown.to(device)
        kept = shown != IGNORED
        loss += float(functional.cross_entropy(logits, shown, ignore_index=IGNORED, reduction="sum"))
        asked += int(kept.sum())
        pairs = shown[kept] * count + logits.argmax(1)[kept]
        table += torch.bincount(pairs.cpu(), minlength=count * count).view(count, count)
    network.train(was_training)
    hit = table.diag().double()
    either = table.sum(0) + table.sum(1) - table.diag()
    return loss / max(asked, 1), float((hit[either > 0] / either[either > 0]).mean())


def _target(one: Truth, side: int) -> Target:
    masks = None if one.masks is None else torch.from_numpy(np.unpackbits(one.masks, axis=-1, count=side).astype(bool))
    return Target(torch.from_numpy(one.boxes), torch.from_numpy(one.labels), torch.from_numpy(one.ignored), masks)


def build(wish: Wish) -> Built:
    """A segmenter: `lraspp` or `deeplabv3` on the body that is named, its own, or the one there are weights of.

    Raises UsageError for a body whose last stages cannot be dilated, DataError for weights that do not fit.
    """
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead
    from torchvision.models.segmentation.lraspp import LRASPPHead

    own = BODIES[wish.entry.name][1]
    start, why = start_of(wish, own)
    name = start.name if start else wish.backbone or own
    spec = start.input if start else InputSpec(size=wish.size, fit="pad")
    spec = spec.model_copy(update={"interpolation": "bilinear"})
    count = len(wish.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(wish.seed, "network", 0))
        body = body_of(name, start, wish.size, STRIDES, dilated=STRIDES[-1])
        low, high = body.channels
        light = wish.entry.name == "lraspp"
        head: Any = LRASPPHead(low, high, count + 1, 128) if light else DeepLabHead(high, count + 1, (6, 12, 18))
        network = Segmenter(body, head, named=light, classes=count, spec=spec)
    plan = PLAN if start else replace(PLAN, freeze_norm=False, layer_decay=1.0)
    epochs = epochs_for(wish.pictures, plan.batch, STEPS, *EPOCHS)
    plan = replace(plan, size=wish.size, seed=wish.seed, epochs=epochs)
    return Built(network, plan, spec, start.weights if start else "none", why)
