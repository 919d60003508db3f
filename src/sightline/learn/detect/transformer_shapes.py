"""What RT-DETR and D-FINE of transformers are made of: a small one for any body's maps, and those of the published checkpoints.

Imports transformers when it is asked for; knows neither weights' files nor the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sightline.errors import missing_extra
from sightline.learn.detect.network import MOST

STRIDES = (8, 16, 32)
LAYERS = 3  # of the decoder, as the smallest of both papers; every further one costs a fifth of the time
NARROW, WIDE = 128, 256  # channels above the bodies of phones and small ResNets, and above larger ones
RARE = 0.01  # what a new head says of every class (arXiv 1708.02002, section 4.1)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole detector that its makers trained on COCO; pictures go in as 0..1, without normalisation."""

    file: str  # .safetensors in SIGHTLINE_WEIGHTS
    repository: str  # of the hub
    kind: str  # the network's name in FAMILIES
    body: dict[str, Any]
    rest: dict[str, Any]


# the smallest of each with three maps, Apache-2.0; shapes as their makers publish them
CHECKPOINTS = {
    "rt-detr": Checkpoint(
        "rtdetr_r18vd",
        "PekingU/rtdetr_r18vd",
        "rt-detr",
        {
            "hidden_sizes": [64, 128, 256, 512],
            "depths": [2, 2, 2, 2],
            "layer_type": "basic",
            "embedding_size": 64,
        },
        {"encoder_in_channels": [128, 256, 512], "hidden_expansion": 0.5, "decoder_layers": LAYERS},
    ),
    "d-fine": Checkpoint(
        "dfine-small-coco",
        "ustc-community/dfine-small-coco",
        "d-fine",
        {
            "hidden_sizes": [128, 256, 512, 1024],
            "stem_channels": [3, 16, 16],
            "stage_in_channels": [16, 64, 256, 512],
            "stage_mid_channels": [16, 32, 64, 128],
            "stage_out_channels": [64, 256, 512, 1024],
            "stage_num_blocks": [1, 1, 2, 1],
            "stage_downsample": [False, True, True, True],
            "stage_light_block": [False, False, True, True],
            "stage_kernel_size": [3, 3, 5, 5],
            "stage_numb_of_layers": [3, 3, 3, 3],
            "use_learnable_affine_block": True,
        },
        {
            "encoder_in_channels": [256, 512, 1024],
            "hidden_expansion": 0.5,
            "depth_mult": 0.34,
            "decoder_layers": LAYERS,
            "decoder_n_points": [3, 6, 3],
        },
    ),
}


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", "a detector of transformers") from error
    return transformers


def tokens(side: int) -> int:
    """Places that the three maps of a picture of `side` pixels have: at most so many queries can begin at one."""
    return sum((side // stride) ** 2 for stride in STRIDES)


def family_of(name: str) -> Any:
    """The library's class of networks."""
    library = _library()
    return {"rt-detr": library.RTDetrForObjectDetection, "d-fine": library.DFineForObjectDetection}[name]


def on_maps(name: str, channels: tuple[int, ...], classes: int, size: int) -> Any:
    """The configuration of a small network for maps of these channels, at STRIDES.

    The library wants to build a body of its own: it gets the least one with these channels, which is thrown away.
    """
    library = _library()
    width = WIDE if channels[-1] >= 1024 else NARROW
    body = library.RTDetrResNetConfig(
        hidden_sizes=[8, *channels], depths=[1] * 4, layer_type="bottleneck", embedding_size=8, out_indices=[2, 3, 4]
    )
    shape = {
        "encoder_in_channels": list(channels),
        "encoder_hidden_dim": width,
        "d_model": width,
        "decoder_in_channels": [width] * len(channels),
        "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width,
        "encoder_attention_heads": width // 32,
        "decoder_attention_heads": width // 32,
        "hidden_expansion": 0.5,
        "decoder_layers": LAYERS,
        "initializer_range": width**-0.5 / 2,
        "initializer_bias_prior_prob": RARE,
        "tie_word_embeddings": False,
    }
    if name == "d-fine":
        shape |= {"depth_mult": 0.34, "decoder_n_points": [3, 6, 3]}
    return _configured(name, body, classes, size, shape)


def as_published(checkpoint: Checkpoint, classes: int, size: int) -> Any:
    """The configuration of a published checkpoint, for other classes."""
    library = _library()
    kind = library.RTDetrResNetConfig if checkpoint.kind == "rt-detr" else library.HGNetV2Config
    body = kind(**checkpoint.body, out_indices=[2, 3, 4])
    shape = {**checkpoint.rest, "initializer_bias_prior_prob": RARE, "tie_word_embeddings": False}
    return _configured(checkpoint.kind, body, classes, size, shape)


def _configured(name: str, body: Any, classes: int, size: int, shape: dict[str, Any]) -> Any:
    library = _library()
    kind = {"rt-detr": library.RTDetrConfig, "d-fine": library.DFineConfig}[name]
    return kind(
        backbone_config=body,
        num_labels=classes,
        num_queries=min(MOST, tokens(size)),
        freeze_backbone_batch_norms=False,  # the loop sees to that
        **shape,
    )
