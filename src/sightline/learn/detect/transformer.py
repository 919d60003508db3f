"""RT-DETR and D-FINE of the library transformers as the loop and the export see them, on any body; nothing is suppressed.

Zhao et al. 2023 (arXiv 2304.08069), Peng et al. 2024 (arXiv 2410.13842): queries are matched one to one with objects, so that
doubles do not arise. Knows neither data nor training; weights come in the order of backbones.py: folder, hub, none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import DataError, UsageError
from sightline.learn import backbones
from sightline.learn.augment import Augment
from sightline.learn.detect.bodies import Body, body_of
from sightline.learn.detect.names import Built, Wish
from sightline.learn.detect.network import FLOOR, MOST, DetectorNetwork, Found, Target
from sightline.learn.detect.published import THINNEST, start_of
from sightline.learn.detect.transformer_shapes import (
    CHECKPOINTS,
    NARROW,
    STRIDES,
    Checkpoint,
    as_published,
    family_of,
    on_maps,
    tokens,
)
from sightline.learn.plan import Plan, epochs_for
from sightline.learn.reproduce import seed_of
from sightline.settings import settings
from sightline.types import InputSpec

BODIES = {"rt-detr": "resnet18", "d-fine": "hgnetv2_b0"}  # of timm, where nobody says another
CLASSES = ("class_embed", "enc_score_head", "denoising_class_embed")  # parts that stand and fall with the classes
STEPS = 3_000  # that the plan's epochs make of a small dataset
EPOCHS = (12, 150)

# Clipping as both papers have it, and eight times their rate for a narrow decoder that knows nothing yet: on 64 drawn pictures
# RT-DETR at 4e-4 had an mAP@.5 of 0.10 after 48 steps, at 1e-3 (clipped at 1) 0.70, D-FINE at 8e-4 0.73
FINE = Plan(
    size=416,
    epochs=60,
    batch=8,
    lr=8e-4,
    layer_decay=0.9,
    weight_decay=1e-4,
    freeze_norm=True,
    warmup=0.05,
    ema=0.995,
    clip=0.1,
    label_smoothing=0.0,
    balance=0.0,
    patience=30,
    longest=2,
    scales=0.25,
    augment=Augment(flip=True, degrees=0, scale=0.3, aspect=0.1, shift=0.1, colour=0.3),
)


class Own(nn.Module):
    """The body that a published checkpoint came with: maps as bodies.Body gives them."""

    strides = STRIDES

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.channels = tuple(model.channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.model(x).feature_maps)


class _Maps(list[Tensor]):
    """Maps that stand where the library looks for one tensor's batch and device."""

    @property
    def shape(self) -> torch.Size:
        return self[0].shape

    @property
    def device(self) -> torch.device:
        return self[0].device


class Queries(DetectorNetwork):
    """A body (`backbone`) and the library's network without its own."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: Body | Own, network: Any, *, spec: InputSpec, classes: int) -> None:
        super().__init__()
        self.backbone = body
        self.network = network
        self.classes = classes
        self.any_size = tokens(spec.size // 2) >= network.config.num_queries
        del network.model.backbone
        _own_parts(network)
        self.register_buffer("mean", torch.tensor(spec.mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std, dtype=torch.float32).view(1, 3, 1, 1))

    def normalise(self, pixels: Tensor) -> Tensor:
        """(n, h, w, 3) in 0..255 to normalised float32 (n, 3, h, w)."""
        values = pixels.permute(0, 3, 1, 2).float()
        return ((values - self.mean * 255) / (self.std * 255)).contiguous(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor, labels: list[dict[str, Tensor]] | None = None) -> Any:
        """The library's answer to pictures (n, h, w, 3): `logits` (n, q, c), `pred_boxes` (n, q, 4); with labels `loss_dict`.

        Body and pyramid may compute in bfloat16; queries, boxes and the matching need the digits. UsageError for pictures with
        fewer places than there are queries.
        """
        side, least = min(pixels.shape[1:3]), self.network.config.num_queries
        if tokens(int(side)) < least:
            raise UsageError(f"pictures of {side} px have fewer than {least} places", hint="give --plan scales=0.25")
        model = self.network.model
        found = self.backbone(self.normalise(pixels))
        maps = _Maps(project(each) for project, each in zip(model.encoder_input_proj, found, strict=True))
        encoded = model.encoder(maps)
        with torch.autocast(pixels.device.type, enabled=False):
            encoded.last_hidden_state = [each.float() for each in encoded.last_hidden_state]
            return self.network(pixel_values=None, inputs_embeds=maps, encoder_outputs=encoded, labels=labels)

    def loss(self, pixels: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """The paper's criterion: parts by name, of all layers and the noised truth. Ignored regions are background to it."""
        height, width = (float(side) for side in pixels.shape[1:3])
        try:
            answer = self.forward(pixels, [_label(target, width, height) for target in targets])
        except ValueError as error:  # its matching refuses boxes that are not numbers; the loop names such a loss
            if "boxes" not in str(error):
                raise
            return {"boxes": next(self.network.parameters()).sum() * float("nan")}
        parts: dict[str, Tensor] = {}
        for name, value in answer.loss_dict.items():
            kind = name.removeprefix("loss_").partition("_")[0]
            parts[kind] = parts[kind] + value if kind in parts else value
        return parts

    def find(self, pixels: Tensor) -> list[Found]:
        """The likeliest pairs of query and class of each picture, best first; in evaluation mode."""
        answer = self.forward(pixels)
        size = torch.tensor([pixels.shape[2], pixels.shape[1]] * 2, device=pixels.device)
        return [self._best(*each, size) for each in zip(answer.logits, answer.pred_boxes, strict=True)]

    def _best(self, logits: Tensor, places: Tensor, size: Tensor) -> Found:
        every = logits.float().sigmoid().flatten()
        scores, order = every.topk(min(MOST, every.shape[0]))
        middle, sides = places[:, :2], places[:, 2:]
        corners = torch.cat([middle - sides / 2, middle + sides / 2], 1)[order // self.classes].clamp(0, 1) * size
        thinnest = (corners[:, 2:] - corners[:, :2]).min(1).values
        kept = torch.nonzero((scores >= FLOOR) & (thinnest >= THINNEST)).squeeze(1)
        return Found(corners[kept], scores[kept], (order % self.classes)[kept])

    def exported(self) -> nn.Module:
        return _Exported(self).eval()


class _Exported(nn.Module):
    """uint8 (1, size, size, 3) -> boxes, scores, labels."""

    def __init__(self, detector: Queries) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.detector.find(image)[0]
        return found.boxes, found.scores, found.labels


def _label(target: Target, width: float, height: float) -> dict[str, Tensor]:
    """As the library wants it: middle and sides, in shares of the picture."""
    x0, y0, x1, y1 = target.boxes.unbind(1)
    boxes = torch.stack([(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height], 1)
    return {"class_labels": target.labels, "boxes": boxes}


def _own_parts(network: Any) -> None:
    """Each weight has one name, and constants are no parameters: the loop learns all of those."""
    decoder = network.model.decoder
    for name in ("class_embed", "bbox_embed"):
        network._modules.pop(name, None)  # D-FINE's are seen by nobody: the decoder has its own
        heads = getattr(decoder, name)
        for place in range(1, len(heads)):
            if next(heads[place].parameters()) is next(heads[0].parameters()):
                heads[place] = deepcopy(heads[place])
    for name in ("up", "reg_scale"):
        if name in decoder._parameters:
            value = decoder._parameters.pop(name)
            decoder.register_buffer(name, value.detach().clone())


def build(wish: Wish) -> Built:
    """The detector with the weights that there are: of the family's checkpoint, of a network of timm, or none.

    Raises UsageError for a body without maps, DataError for weights that do not fit, MissingExtraError.
    """
    family = wish.entry.name
    told = None if wish.backbone else at_hand(CHECKPOINTS[family])
    why = ""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed_of(wish.seed, "network", 0))
        if told:
            spec, weights = InputSpec(size=wish.size, fit="pad", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), told[1]
            network = continued(CHECKPOINTS[family], told[0], len(wish.classes), spec)
        else:
            start, why = start_of(wish, BODIES[family])
            name = start.name if start else wish.backbone or BODIES[family]
            spec = start.input if start else InputSpec(size=wish.size, fit="pad")
            network = on_body(family, body_of(name, start, wish.size), len(wish.classes), spec)
            weights = start.weights if start else "none"
    plan = FINE if weights != "none" else replace(FINE, freeze_norm=False, layer_decay=1.0)
    if told or network.network.config.d_model > NARROW:
        plan = replace(plan, lr=FINE.lr / (8 if told else 2))
    epochs = epochs_for(wish.pictures, plan.batch, STEPS, *EPOCHS)
    plan = replace(plan, size=wish.size, seed=wish.seed, epochs=epochs, scales=plan.scales if network.any_size else 0.0)
    return Built(network, plan, spec, weights, why)


def on_body(family: str, body: Body, classes: int, spec: InputSpec) -> Queries:
    """A small network of the family on a body; first weights after its papers."""
    network = family_of(family)(on_maps(family, body.channels, classes, spec.size))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # the library draws them near zero, as for a checkpoint that fills them
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return Queries(body, network, spec=spec, classes=classes)


def at_hand(checkpoint: Checkpoint) -> tuple[Path, str] | None:
    """The whole detector's file and what people are told of it: from SIGHTLINE_WEIGHTS, else the hub unless offline."""
    folder = settings().weights
    path = folder / f"{checkpoint.file}.safetensors" if folder else None
    if path and path.exists():
        return path, path.name
    fetched = backbones.from_hub(checkpoint.repository)
    return (fetched, f"hub:{checkpoint.repository}") if fetched else None


def continued(checkpoint: Checkpoint, path: Path, classes: int, spec: InputSpec) -> Queries:
    """A published detector with new heads for these classes. DataError for a file that does not fit it."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    backbones.header(path)
    try:
        network, told = family_of(checkpoint.kind).from_pretrained(
            None,  # nothing is looked for: neither a file nor the hub
            config=as_published(checkpoint, classes, spec.size),
            state_dict=_everywhere(load_file(path)),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        odd = [*told["missing_keys"], *(name for name, *_ in told["mismatched_keys"])]
    except (SafetensorError, RuntimeError, OSError) as error:
        odd = [str(error).strip().splitlines()[0][:160]]
    odd = [name for name in odd if not any(part in name for part in CLASSES) and not name.endswith("num_batches_tracked")]
    if odd:
        raise DataError(
            f"{path} does not fit {checkpoint.file}: {', '.join(odd[:3])}",
            hint=f"it must be model.safetensors of {checkpoint.repository}; download it again",
        )
    body = Own(network.model.backbone.model)
    return Queries(body, network.float(), spec=spec, classes=classes).train()


def _everywhere(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The heads under both of their names: files have one or the other, as they were one object when they were written."""
    both = dict(state)
    for name, tensor in state.items():
        plain = name.removeprefix("model.decoder.")
        if plain.startswith(("class_embed.", "bbox_embed.")):
            both.setdefault(plain, tensor)
            both.setdefault(f"model.decoder.{plain}", tensor)
    return both


@contextmanager
def quiet() -> Iterator[None]:
    """The library's own report and bars of a loading are for its people; ours are told by `continued`."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
