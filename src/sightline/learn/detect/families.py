"""torchvision's detectors on any body: Faster, Mask and Keypoint R-CNN, SSD with light heads, RetinaNet, FCOS.

Each function takes a body and gives (neck, network): the neck makes named maps of the body's, the network is torchvision's,
whose own backbone and picture sizes are taken out by published.py. Their defaults are for photographs of 800 px on a GPU; what
is set here is for 320 to 640 px and two cores.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.ops import Conv2dNormActivation, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool, LastLevelP6P7

from sightline.learn.detect.bodies import Body
from sightline.learn.detect.network import FLOOR, MOST

MASKED = 100  # objects of a picture where each has a mask or keypoints: their heads take most of the time
PROPOSALS = 300  # that the second stage looks at; 1000 are usual and cost a CPU three times as much
RATIOS = (0.5, 1.0, 2.0)  # height to width of anchors
EXTRA = (256, 128, 128)  # channels of SSD's maps above the body


@dataclass(frozen=True, slots=True)
class Shape:
    """What a detector is built for."""

    classes: int
    size: int  # pixels a side of the input
    points: int = 0  # keypoints of an object


class Neck(nn.Module):
    """Maps of a body, finest first, to named maps of `out_channels` (Lin et al. 2017, arXiv 1612.03144)."""

    def __init__(self, channels: tuple[int, ...], out_channels: int, above: nn.Module) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(list(channels), out_channels, above)
        self.out_channels = out_channels

    def forward(self, maps: list[Tensor]) -> OrderedDict[str, Tensor]:
        named = OrderedDict((str(place), found) for place, found in enumerate(maps))
        return cast("OrderedDict[str, Tensor]", self.fpn(named))


class Stack(nn.Module):
    """Maps of a body and coarser ones on top of each other, by depthwise convolutions (arXiv 1801.04381, section 6.2)."""

    def __init__(self, channels: tuple[int, ...], extra: tuple[int, ...]) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
        block = partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.ReLU6)
        steps, below = [], channels[-1]
        for width in extra:
            half = width // 2
            steps.append(
                nn.Sequential(
                    block(below, half, kernel_size=1),
                    block(half, half, kernel_size=3, stride=2, groups=half),
                    block(half, width, kernel_size=1),
                )
            )
            below = width
        self.extra = nn.ModuleList(steps)
        self.out_channels = [*channels, *extra]

    def forward(self, maps: list[Tensor]) -> OrderedDict[str, Tensor]:
        every = list(maps)
        for step in self.extra:
            every.append(step(every[-1]))
        return OrderedDict((str(place), found) for place, found in enumerate(every))


class _Sized(nn.Module):
    """Stands where torchvision wants a backbone: it is asked for its channels only."""

    def __init__(self, out_channels: int | list[int]) -> None:
        super().__init__()
        self.out_channels = out_channels


class _Coder(BoxCoder):  # type: ignore[misc]
    """torchvision's, except that a picture without a single proposal is no special case: a traced graph knows no cases."""

    def __init__(self, classes: int) -> None:
        super().__init__((10.0, 10.0, 5.0, 5.0))
        self.classes = classes

    def decode(self, rel_codes: Tensor, boxes: list[Tensor]) -> Tensor:
        every = torch.cat(boxes)
        return cast(Tensor, self.decode_single(rel_codes, every)).reshape(every.shape[0], self.classes, 4)


Built = tuple[nn.Module, Any]


def _width(body: Body) -> int:
    """Channels of a pyramid: 256 as in the paper, half on the bodies of phones."""
    return 256 if body.channels[-1] >= 1024 else 128


def _regions(body: Body, shape: Shape, kind: Callable[..., Any], most: int, **options: Any) -> Built:
    """Two stages: Faster R-CNN (Ren et al. 2015, arXiv 1506.01497) and what is built on it."""
    neck = Neck(body.channels, _width(body), LastLevelMaxPool())
    strides = (*body.strides, body.strides[-1] * 2)
    # two anchors a map, half an octave apart, from twice its stride on: 16 px at stride 8
    anchors = AnchorGenerator(tuple((2 * stride, 3 * stride) for stride in strides), (RATIOS,) * len(strides))
    names = [str(place) for place in range(len(body.channels))]
    hidden = 1024 if neck.out_channels == 256 else 512
    network = kind(
        _Sized(neck.out_channels),
        None,
        rpn_anchor_generator=anchors,
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=PROPOSALS,
        rpn_post_nms_top_n_test=PROPOSALS,
        box_roi_pool=MultiScaleRoIAlign(names, 7, 2),
        box_head=TwoMLPHead(neck.out_channels * 49, hidden),
        box_predictor=detection.faster_rcnn.FastRCNNPredictor(hidden, shape.classes + 1),
        box_batch_size_per_image=128,
        box_score_thresh=FLOOR,
        box_detections_per_img=most,
        **options,
    )
    network.roi_heads.box_coder = _Coder(shape.classes + 1)
    return neck, network


def faster_rcnn(body: Body, shape: Shape) -> Built:
    return _regions(body, shape, detection.FasterRCNN, MOST)


def mask_rcnn(body: Body, shape: Shape) -> Built:
    """A mask for each box (He et al. 2017, arXiv 1703.06870)."""
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

    channels = _width(body)
    names = [str(place) for place in range(len(body.channels))]
    return _regions(
        body,
        shape,
        detection.MaskRCNN,
        MASKED,
        mask_roi_pool=MultiScaleRoIAlign(names, 14, 2),
        mask_head=MaskRCNNHeads(channels, (channels,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, shape.classes + 1),
    )


def keypoint_rcnn(body: Body, shape: Shape) -> Built:
    """A heat map for each keypoint of each box (arXiv 1703.06870, section 5)."""
    from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor

    channels = _width(body)
    layers = (512,) * 8 if channels == 256 else (256,) * 4
    names = [str(place) for place in range(len(body.channels))]
    return _regions(
        body,
        shape,
        detection.KeypointRCNN,
        MASKED,
        keypoint_roi_pool=MultiScaleRoIAlign(names, 14, 2),
        keypoint_head=KeypointRCNNHeads(channels, layers),
        keypoint_predictor=KeypointRCNNPredictor(layers[-1], shape.points),
    )


def ssdlite(body: Body, shape: Shape) -> Built:
    """One stage with default boxes and depthwise heads: SSD (arXiv 1512.02325) as in MobileNetV2 (arXiv 1801.04381, 6.2).

    Maps from stride 8 on and scales from 7 % of the side, as SSD300 has them: published SSDlite begins at 16 and 20 %, and
    misses what is small.
    """
    neck = Stack(body.channels, EXTRA)
    maps = len(neck.out_channels)
    scales = [0.07, 0.15, *(round(0.15 + (1.05 - 0.15) * (step + 1) / (maps - 1), 3) for step in range(maps - 1))]
    boxes = DefaultBoxGenerator([[2, 3]] * maps, scales=scales[: maps + 1])
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    head = SSDLiteHead(neck.out_channels, boxes.num_anchors_per_location(), shape.classes + 1, norm)
    return neck, _ssd(neck, boxes, head, shape)


def ssd300(body: Body, shape: Shape) -> Built:
    """SSD as in its paper, on VGG-16 (Liu et al. 2016, arXiv 1512.02325): plain heads on six maps, scales from 7 %."""
    from torchvision.models.detection.ssd import SSDHead

    neck = Stack(body.channels, (512, 256, 256))
    boxes = DefaultBoxGenerator([[2], [2, 3], [2, 3], [2, 3], [2], [2]], scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05])
    head = SSDHead(neck.out_channels, boxes.num_anchors_per_location(), shape.classes + 1)
    return neck, _ssd(neck, boxes, head, shape)


def _ssd(neck: Stack, boxes: DefaultBoxGenerator, head: nn.Module, shape: Shape) -> Any:
    return detection.ssd.SSD(
        _Sized(neck.out_channels),
        boxes,
        (shape.size, shape.size),
        shape.classes + 1,
        head=head,
        score_thresh=FLOOR,
        nms_thresh=0.5,
        detections_per_img=MOST,
        topk_candidates=MOST,
    )


def retinanet(body: Body, shape: Shape) -> Built:
    """One stage with anchors and the focal loss (Lin et al. 2017, arXiv 1708.02002)."""
    neck = Neck(body.channels, width := _width(body), LastLevelP6P7(width, width))
    strides = (*body.strides, *(body.strides[-1] * 2 ** (step + 1) for step in range(2)))
    # three anchors an octave from twice the stride on; the paper's begin at four times, for pictures of 800 px
    sizes = tuple(tuple(round(2 * stride * 2 ** (step / 3)) for step in range(3)) for stride in strides)
    network = detection.RetinaNet(
        _Sized(width),
        shape.classes,
        anchor_generator=AnchorGenerator(sizes, (RATIOS,) * len(sizes)),
        score_thresh=FLOOR,
        detections_per_img=MOST,
        topk_candidates=MOST,
    )
    return neck, network


def fcos(body: Body, shape: Shape) -> Built:
    """One stage without anchors (Tian et al. 2019, arXiv 1904.01355)."""
    neck = Neck(body.channels, width := _width(body), LastLevelP6P7(width, width))
    strides = (*body.strides, *(body.strides[-1] * 2 ** (step + 1) for step in range(2)))
    network = detection.FCOS(
        _Sized(width),
        shape.classes,
        anchor_generator=AnchorGenerator(tuple((stride,) for stride in strides), ((1.0,),) * len(strides)),
        score_thresh=FLOOR,
        detections_per_img=MOST,
        topk_candidates=MOST,
    )
    return neck, network


# name -> builder, number of the first class in torchvision's counting (0 is the background of those that have one)
FAMILIES: dict[str, tuple[Callable[[Body, Shape], Built], int]] = {
    "faster-rcnn": (faster_rcnn, 1),
    "mask-rcnn": (mask_rcnn, 1),
    "keypoint-rcnn": (keypoint_rcnn, 1),
    "ssdlite": (ssdlite, 1),
    "ssd300": (ssd300, 1),
    "retinanet": (retinanet, 0),
    "fcos": (fcos, 0),
}
