"""The ways whose layers learn without labels first: what may be asked, pre-training, then fine-tuning through the one loop.

Ends as the same `Learned` as every other way. Knows no files of models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.learn import ways
from sightline.learn.layerwise import unlabelled
from sightline.learn.layerwise.names import FILE, SIZES
from sightline.learn.ways import Drawing, Learned, Material, Prepared
from sightline.types import InputSpec, Size

if TYPE_CHECKING:
    from torch import nn

    from sightline.learn.fit import TrainRequest

SHARE = 0.6  # of --minutes: what fine-tuning gets; the rest is for learning without labels
HELD = 200  # validation pictures that a denoiser is measured on


@dataclass(frozen=True, slots=True)
class Taught:
    """What learning without labels has left, besides the weights in the network."""

    values: dict[str, Any]
    drawings: tuple[Drawing, ...]
    parts: dict[str, bytes]


def by_layers(
    material: Material, request: TrainRequest, run: Path, wishes: dict[str, Any], *, pretrained: bool = True
) -> tuple[Learned, str]:
    """Learn without labels, then with them; and the sentence that says so. Goes on in `run` where it was stopped.

    `pretrained=False`: the same network without its first part, to see what that is worth.
    """
    spec = InputSpec(size=request.input_size or SIZES[request.way], fit=request.fit or "pad", steps=request.steps)
    prepared = ways.prepare_network(
        material, None, request.size, spec=spec, probe=None, body=lambda: _body(request.way, request.size), **wishes
    )
    prepared = ways.taught(replace(prepared, way=request.way), material, request.teacher)  # type: ignore[arg-type]
    taught = Taught({}, (), {})
    if pretrained:
        images = unlabelled.pictures(material.train, request.pretrain, spec)
        if material.denoiser:
            images = material.denoiser(images)
        teach = _belief if request.way == "dbn" else _autoencoder
        taught = teach(prepared, images, request, run / "pretrain")
        taught.values["pretrained_on"] = len(images)
    minutes = None if request.minutes is None else request.minutes * SHARE
    learned = ways.by_network(material, prepared, minutes, run / request.way, log=request.log)
    learned = replace(learned, values={**learned.values, **taught.values}, drawings=taught.drawings, parts=taught.parts)
    kind = "stacked restricted Boltzmann machines" if request.way == "dbn" else "the encoder of a denoising autoencoder"
    before = f"pre-trained on {len(images)} pictures without labels" if pretrained else "not pre-trained"
    return learned, f"{kind}, {before}: asked for"


def _body(way: str, size: Size) -> tuple[nn.Module, int]:
    if way == "dbn":
        from sightline.learn.layerwise import dbn

        return dbn.body(size)
    from sightline.learn.layerwise.autoencoder import Encoder

    encoder = Encoder(size)
    return encoder, encoder.width


def _belief(prepared: Prepared, images: Any, request: TrainRequest, run: Path) -> Taught:
    from sightline.learn.layerwise import dbn, drawings

    machines = dbn.pretrain(prepared.network, images, run, request.seed)
    errors = [[round(one.errors[0], 5), round(one.errors[-1], 5)] for one in machines]
    shown = (
        Drawing(
            drawings.kernels(machines[0].weight),
            "lowest layer",
            "what the hidden units of the lowest machine answer to, found without labels: edges and colours",
        ),
        Drawing(
            drawings.believed(machines[0], prepared.network, images, request.seed),
            "reconstructions",
            "left: patches of pictures; right: what the lowest machine makes of them again out of its hidden units",
        ),
    )
    return Taught({"reconstruction_error": errors}, shown, {})


def _autoencoder(prepared: Prepared, images: Any, request: TrainRequest, run: Path) -> Taught:
    from sightline.learn.layerwise import autoencoder, denoiser, drawings

    network = prepared.network
    whole = autoencoder.whole(network, request.size, request.seed)
    errors = autoencoder.pretrain(whole, images, run, request.seed)
    before, after = autoencoder.psnr(whole, prepared.data.val_images[:HELD], request.seed)
    graph = denoiser.exported(whole, prepared.spec.size)  # now: fine-tuning moves the encoder
    said = {"error": [round(errors[0], 5), round(errors[-1], 5)], "psnr_noisy": round(before, 2), "psnr": round(after, 2)}
    shown = (
        Drawing(
            drawings.mended(whole, prepared.data.val_images, request.seed),
            "noise taken away",
            f"unseen pictures: noisy, denoised, clean; {before:.1f} dB became {after:.1f} dB",
        ),
        Drawing(
            drawings.kernels(network.backbone.blocks[0][0].weight),  # type: ignore[union-attr, index]
            "lowest layer",
            "the kernels of the lowest layer, found without labels",
        ),
    )
    return Taught({"denoising": said}, shown, {FILE: graph})
