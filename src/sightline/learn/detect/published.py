"""A detector of torchvision as the loop and the export see one: prepared pictures in, losses or objects out.

Normalisation is ours, and torchvision's own resizing is taken out: the picture is letterboxed already. Knows neither data nor
training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from sightline.learn.augment import Augment
from sightline.learn.backbones import Start, choose, named
from sightline.learn.detect.bodies import Body, body_of
from sightline.learn.detect.families import FAMILIES, Shape
from sightline.learn.detect.names import Built, Wish
from sightline.learn.detect.network import DetectorNetwork, Found, Target
from sightline.learn.plan import Plan, epochs_for
from sightline.learn.reproduce import seed_of
from sightline.types import InputSpec

# name -> family, and the network of timm that it stands on when nobody says another
BODIES = {
    "faster-rcnn": ("faster-rcnn", "mobilenetv2_100"),
    "faster-rcnn-mobilenet": ("faster-rcnn", "mobilenetv3_large_100"),
    "faster-rcnn-resnet50": ("faster-rcnn", "resnet50"),
    "ssdlite": ("ssdlite", "mobilenetv3_large_100"),
    "ssd300": ("ssd300", "vgg16"),
    "retinanet": ("retinanet", "resnet50"),
    "fcos": ("fcos", "resnet50"),
    "mask-rcnn": ("mask-rcnn", "resnet50"),
    "keypoint-rcnn": ("keypoint-rcnn", "resnet50"),
    "lraspp": ("lraspp", "mobilenetv3_large_100"),
    "deeplabv3": ("deeplabv3", "resnet50"),
}


class AsPrepared(nn.Module):
    """Stands where torchvision would normalise, resize and pad pictures: they are taken as they come, and boxes stay so."""

    def forward(self, images: Tensor, targets: Any = None) -> tuple[Any, Any]:
        from torchvision.models.detection.image_list import ImageList

        count, _, height, width = images.shape
        return ImageList(images, [(int(height), int(width))] * int(count)), targets

    def postprocess(self, result: Any, shapes: Any, originals: Any) -> Any:  # noqa: ARG002
        return result


class Published(DetectorNetwork):
    """A body (`backbone`: pretrained, it may learn more slowly), a neck and torchvision's network without its own backbone."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        neck: nn.Module,
        network: Any,
        *,
        spec: InputSpec,
        classes: int,
        first: int,
        more: tuple[str, ...] = (),
    ) -> None:
        """`first`: the number that torchvision gives class 0, 1 where 0 is the background; `more`: masks, keypoints."""
        super().__init__()
        self.backbone = body
        self.neck = neck
        self.network = network
        self.classes = classes
        self.first = first
        self.any_size = True
        self.outputs = ("boxes", "scores", "labels", *more)
        network.transform = AsPrepared()
        del network.backbone
        # not a part but a way to `backbone` and `neck`: parameters have one name only, and the optimiser knows them apart
        network.__dict__["backbone"] = self.maps
        self.register_buffer("mean", torch.tensor(spec.mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std, dtype=torch.float32).view(1, 3, 1, 1))

    def maps(self, x: Tensor) -> Any:
        """Named maps of normalised pictures (n, 3, h, w)."""
        return self.neck(self.backbone(x))

    def normalise(self, pixels: Tensor) -> Tensor:
        """(n, h, w, 3) in 0..255 to normalised float32 (n, 3, h, w)."""
        values = pixels.permute(0, 3, 1, 2).float()
        return (values - self.mean * 255) / (self.std * 255)

    def loss(self, pixels: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Losses by name of pictures (n, h, w, 3) in 0..255; in training mode. Boxes without area must not come here."""
        return cast("dict[str, Tensor]", self.network(self._laid_out(pixels), [self._target(one) for one in targets]))

    def _target(self, target: Target) -> dict[str, Tensor]:
        values = {"boxes": target.boxes, "labels": target.labels + self.first}
        if target.masks is not None:
            values["masks"] = target.masks
        if target.keypoints is not None:
            values["keypoints"] = target.keypoints
        return values

    def find(self, pixels: Tensor) -> list[Found]:
        """The objects of pictures (n, h, w, 3) in 0..255, best first; in evaluation mode."""
        return [self._found(found) for found in self.network(self._laid_out(pixels))]

    def _laid_out(self, pixels: Tensor) -> Tensor:
        return self.normalise(pixels).contiguous(memory_format=torch.channels_last)

    def _found(self, found: dict[str, Tensor]) -> Found:
        masks, points = found.get("masks"), found.get("keypoints")
        if points is not None:  # torchvision says 1 for each; the height of the heat map's peak says more
            points = torch.cat([points[..., :2], found["keypoints_scores"].sigmoid()[..., None]], -1)
        sides = found["boxes"][:, 2:] - found["boxes"][:, :2]
        kept = torch.where(sides.min(1).values >= THINNEST)[0]  # those outside the picture were clipped to nothing
        return Found(
            found["boxes"][kept],
            found["scores"][kept],
            found["labels"][kept] - self.first,
            None if masks is None else masks[kept, 0],
            None if points is None else points[kept],
        )

    def exported(self) -> nn.Module:
        return _Exported(self).eval()


class _Exported(nn.Module):
    """uint8 (1, size, size, 3) -> boxes, scores, labels, and masks or keypoints where there are."""

    def __init__(self, detector: Published) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.detector.find(image)[0]
        every = (found.boxes, found.scores, found.labels, found.masks, found.keypoints)
        return tuple(value for value in every if value is not None)


THINNEST = 0.1  # pixels of a side of a box that is answered

STEPS = 2_000  # that the plan's epochs make of a small dataset
EPOCHS = (12, 80)

# Of a pretrained body, on a few hundred photographs: small batches, since two stages cost much, and still norms for that
FINE = Plan(
    size=416,
    epochs=40,
    batch=8,
    lr=1e-3,
    layer_decay=0.9,
    weight_decay=1e-3,
    freeze_norm=True,
    warmup=0.05,
    ema=0.995,
    clip=10.0,
    label_smoothing=0.0,
    balance=0.0,
    patience=25,
    longest=2,
    augment=Augment(flip=True, degrees=0, scale=0.3, aspect=0.1, shift=0.1, colour=0.3),
)


def build(wish: Wish) -> Built:
    """A detector of the families on a body of timm: the one that is named, else the family's own, else what weights there are.

    Raises UsageError for a body without maps, DataError for weights that do not fit.
    """
    family, own = BODIES[wish.entry.name]
    start, why = start_of(wish, own)
    name = start.name if start else wish.backbone or own
    spec = start.input if start else InputSpec(size=wish.size, fit="pad")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(wish.seed, "network", 0))
        body = body_of(name, start, wish.size)
        network = on_body(family, body, Shape(len(wish.classes), wish.size, wish.points), spec)
    plan = FINE if start else replace(FINE, freeze_norm=False, layer_decay=1.0)
    epochs = epochs_for(wish.pictures, plan.batch, STEPS, *EPOCHS)
    plan = replace(plan, size=wish.size, seed=wish.seed, epochs=epochs)
    return Built(network, plan, spec, start.weights if start else "none", why)


def start_of(wish: Wish, own: str) -> tuple[Start | None, str]:
    """The body's weights, and why they are of another network than the detector usually stands on; empty where they are not."""
    start = named(wish.backbone or own, wish.size)
    if start is not None or wish.backbone:
        return start, ""
    other = choose("small", wish.size)
    return other, f"no weights of {own} at hand, it stands on {other.name}"


def on_body(family: str, body: Body, shape: Shape, spec: InputSpec) -> Published:
    """A detector of a family of families.py on a body; first weights as torchvision draws them."""
    make, first = FAMILIES[family]
    neck, network = make(body, shape)
    more = {"mask-rcnn": ("masks",), "keypoint-rcnn": ("keypoints",)}.get(family, ())
    return Published(body, neck, network, spec=spec, classes=shape.classes, first=first, more=more)
