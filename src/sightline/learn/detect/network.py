"""What every detector is to the loop, to validation and to export: loss, found objects, a graph. Knows no architecture.

Pixels come as the loop has them, (n, s, s, 3) RGB in 0..255; boxes are (x0, y0, x1, y1) in those pixels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from sightline.learn.network import Trainable

FLOOR = 0.01  # score from which an object is answered at all: mean average precision wants the doubtful ones, too
MOST = 300  # objects of a picture that are answered, the best ones
OVERLAP = 0.6  # IoU above which the less sure of two boxes of a class goes


class Target(NamedTuple):
    """The truth about one changed picture, on the device of the pixels."""

    boxes: Tensor  # float32 (k, 4)
    labels: Tensor  # int64 (k,)
    ignored: Tensor  # float32 (j, 4): crowds and difficult objects, neither asked for nor wrong
    masks: Tensor | None = None  # bool (k, s, s)
    keypoints: Tensor | None = None  # float32 (k, p, 3): x, y, visibility 0, 1, 2 as in COCO


class Found(NamedTuple):
    """What a network finds in one picture, best first."""

    boxes: Tensor  # float32 (k, 4)
    scores: Tensor  # float32 (k,)
    labels: Tensor  # int64 (k,)
    masks: Tensor | None = None  # float32 (k, m, m): probabilities inside each box
    keypoints: Tensor | None = None  # float32 (k, p, 3): x, y, score


class DetectorNetwork(Trainable):
    """A network that places objects. `backbone` is what pretrained weights fill; all else counts as its head."""

    classes: int
    any_size: bool = False  # whether it learns from squares of other sides than its input, too
    outputs: tuple[str, ...] = ("boxes", "scores", "labels")  # of the exported graph

    @abstractmethod
    def loss(self, pixels: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Parts of the loss, means over the pictures, to be added. In training mode."""

    @abstractmethod
    def find(self, pixels: Tensor) -> list[Found]:
        """The objects of each picture from a score of FLOOR, MOST at most. In evaluation mode, without gradients."""

    @abstractmethod
    def exported(self) -> nn.Module:
        """uint8 (1, s, s, 3) to `outputs`, for torch.onnx.export(dynamo=False): boxes (k, 4), scores (k,), labels (k,), ..."""
