"""Which network, from which weights: the size dial, the weights folder, the hub, or the one in the package. Always says which.

Knows nothing of pictures and training. Only `build` imports torch and timm; everything is decided without them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sightline import progress
from sightline.errors import DataError, missing_extra
from sightline.files import sha256_file
from sightline.learn import own
from sightline.learn.search.space import input_of
from sightline.learn.zoo import names
from sightline.settings import settings
from sightline.types import InputSpec, Size

if TYPE_CHECKING:
    from torch import Tensor, nn

Fit = Literal["crop", "squash", "pad"]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, std on the scale 0..1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network with ImageNet weights; those of the dial are Apache-2.0. `tag` names timm's weights, "" when the hub has none;
    `size` is pixels a side; `plain` is its name in the zoo, when that is another.
    """

    name: str
    tag: str
    size: int = 224
    plain: str = ""


OURS = Candidate(own.NAME, "", own.SIZE)
# The dial. ImageNet top-1 and parameters of the first of each: (ours: 1.2 M), 72.9 % 3.5 M, 81.3 % 8.8 M, 84.2 % 28.6 M.
DIAL: dict[Size, tuple[Candidate, ...]] = {
    "tiny": (OURS, Candidate("mobilenetv3_small_050", "lamb_in1k"), Candidate("lcnet_050", "ra2_in1k")),
    "small": (Candidate("mobilenetv2_100", "ra_in1k"), Candidate("mobilenetv3_large_100", "ra_in1k")),
    "medium": (
        Candidate("repvit_m1_1", "dist_300e_in1k"),
        Candidate("mobilenetv4_conv_medium", "e500_r256_in1k", 256),
        Candidate("resnet50", "a1_in1k"),
    ),
    "large": (Candidate("convnext_tiny", "in12k_ft_in1k"),),
}
OPTIONS = ("pad_type",)  # what a weights file may say about the network's build, beside mean and std


@dataclass(frozen=True, slots=True)
class Start:
    """A pretrained network to start from. `weights` is told to people, `key` (hex) names network, weights and input exactly."""

    name: str
    path: Path
    weights: str
    input: InputSpec
    options: tuple[tuple[str, str], ...]
    key: str
    why: str = ""  # when it is not what the dial means: one clause that says so

    @property
    def packaged(self) -> bool:
        """Whether it is our own: its frozen features need no torch."""
        return self.path == own.WEIGHTS


def choose(size: Size = "small", input_size: int | None = None, fit: Fit = "pad") -> Start:
    """The pretrained network for the dial.

    Looks for the dial's networks in SIGHTLINE_WEIGHTS (NAME.safetensors or NAME.TAG.safetensors, their maker's layout), then on
    the hub unless offline, then for any other network in the folder; at last, for "tiny" at once, and without the extra 'deep'
    always, takes our own. Raises DataError for a weights file that is not one.
    """
    wanted = DIAL[size]
    if not can_build():
        return _ours(input_size, fit)
    start = _in_folder_of(wanted, input_size, fit)
    if start is None and OURS in wanted:
        return _ours(input_size, fit)
    return start or _of_hub(wanted[0], input_size, fit) or _instead_of(wanted[0].name, input_size, fit)


def named(backbone: str, input_size: int | None = None, fit: Fit = "pad") -> Start | None:
    """A network by its name in the zoo or in timm, looked for in the same places; None, and a note, where it has no weights.

    Raises DataError for a weights file that is not one, UsageError for a name that nobody knows.
    """
    if backbone == own.NAME:
        return _ours(input_size, fit)
    wanted = _named(backbone)
    start = _in_folder_of((wanted,), input_size, fit) or _of_hub(wanted, input_size, fit)
    if start is None:
        progress.note(missing(backbone))
    return start


def can_build() -> bool:
    """Whether networks can be built at all: what the extra 'deep' brings is installed."""
    return all(importlib.util.find_spec(library) is not None for library in ("torch", "timm", "safetensors"))


def _in_folder_of(wanted: Iterable[Candidate], input_size: int | None, fit: Fit) -> Start | None:
    folder = dict(_in_folder())
    for candidate in wanted:
        path = next((folder[name] for name in file_names(candidate) if name in folder), None)
        if path:
            return _start(candidate, path, path.name, input_size, fit)
    return None


def _of_hub(wanted: Candidate, input_size: int | None, fit: Fit) -> Start | None:
    repository = repository_of(wanted)
    fetched = from_hub(repository) if repository else None
    return _start(wanted, fetched, f"hub:{repository}", input_size, fit) if fetched else None


def _instead_of(wanted: str, input_size: int | None, fit: Fit) -> Start:
    """Any other network in the folder, else our own; a note says so."""
    known = ((name, path) for name, path in _in_folder() if _in_dial(name) or _timm().is_model(name.split(".")[0]))
    name, path = next(known, (own.NAME, None))
    taken = path.name if path else "Sightline's own backbone"
    why = f"no weights of {wanted} at hand, {taken} taken instead"
    progress.note(why)
    return _start(_named(name), path, path.name, input_size, fit, why=why) if path else _ours(input_size, fit, why)


def _ours(input_size: int | None, fit: Fit, why: str = "") -> Start:
    """The backbone in the package."""
    side = input_size or own.SIZE
    spec = InputSpec(size=side, fit=fit, interpolation="bicubic", mean=own.MEAN, std=own.STD)
    return Start(own.NAME, own.WEIGHTS, "in the package", spec, (), f"{own.key()}-{side}", why)


def missing(backbone: str) -> str:
    """One sentence: there are no weights for it, and where they were looked for."""
    if not repository_of(_named(backbone)):
        where = "and the hub has none"
    else:
        where = "and SIGHTLINE_OFFLINE forbids the hub" if settings().offline else "and the hub has not given them"
    return f"no weights for {backbone}: SIGHTLINE_WEIGHTS holds no {backbone.replace(':', '-')}.safetensors, {where}"


def file_names(candidate: Candidate) -> tuple[str, ...]:
    """What its weights may be called in SIGHTLINE_WEIGHTS, without .safetensors; a width stands after a hyphen."""
    name = candidate.name.replace(":", "-")
    tagged = (f"{name}.{candidate.tag}",) if candidate.tag else ()
    return (*tagged, name, *((candidate.plain.replace(":", "-"),) if candidate.plain else ()))


def repository_of(candidate: Candidate) -> str:
    """Where the hub has its weights; empty: nowhere."""
    return f"timm/{candidate.name}.{candidate.tag}" if candidate.tag and candidate.tag != "untrained" else ""


def at_hand(candidate: Candidate) -> Literal["file", "hub", "none"]:
    """Where its weights would be taken from: a file on this machine, the hub, or nowhere. Asks nobody."""
    if candidate == OURS:
        return "file"
    repository = repository_of(candidate)
    kept = settings().cache / "hub" / f"models--{repository.replace('/', '--')}"
    held = {name for name, _ in _in_folder()}
    if held.intersection(file_names(candidate)) or (repository and any(kept.glob("snapshots/*/model.safetensors"))):
        return "file"
    return "hub" if repository and not settings().offline else "none"


def _in_folder() -> Iterator[tuple[str, Path]]:
    folder = settings().weights
    if folder is not None:
        for path in sorted(folder.glob("*.safetensors")):
            yield path.name.removesuffix(".safetensors"), path


def _in_dial(name: str) -> Candidate | None:
    every = (candidate for candidates in DIAL.values() for candidate in candidates)
    return next((candidate for candidate in every if name in (candidate.name, f"{candidate.name}.{candidate.tag}")), None)


def _named(name: str) -> Candidate:
    """The candidate of that name: from the dial or the zoo, else what timm says about it; UsageError when it knows nothing."""
    known = _in_dial(name)
    if known:
        return known
    side = input_of(name)
    if side:  # a network of the search space: nobody has weights of it
        return Candidate(name, "", side)
    entry = names.find(name)
    if entry is not None:
        return candidate_of(entry)
    timm = _timm()
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise names.unknown(name)
    config = timm.get_pretrained_cfg(name)
    return Candidate(architecture, tag or (config.tag if config else ""), max(config.input_size[1:]) if config else 224)


def candidate_of(entry: names.Entry) -> Candidate:
    """The weights that go with a network of the zoo."""
    plain = entry.name if entry.name != entry.architecture else ""
    return Candidate(entry.architecture, entry.tag, entry.size, plain)


def _start(candidate: Candidate, path: Path, weights: str, input_size: int | None, fit: Fit, *, why: str = "") -> Start:
    said = header(path)
    options = tuple((name, said[name]) for name in OPTIONS if name in said)
    mean, std = (_three(said[name], path) if name in said else None for name in ("mean", "std"))
    if mean is None or std is None:
        mean, std = _normalisation(candidate)
    spec = InputSpec(
        size=input_size or candidate.size,
        fit=fit,
        interpolation="bicubic",
        mean=mean,
        std=std,
    )
    facts = [candidate.name, sha256_file(path), dict(options), spec.size, spec.mean, spec.std]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    return Start(candidate.name, path, weights, spec, options, key, why)


def _normalisation(candidate: Candidate) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and std that the weights were trained with: every network of the dial uses ImageNet's; timm knows the others'."""
    if candidate == OURS:
        return own.MEAN, own.STD
    if any(candidate in candidates for candidates in DIAL.values()) or ":" in candidate.name:
        return IMAGENET
    entry = names.find(candidate.name)
    if entry is not None and entry.maker == "torchvision":  # its GoogLeNet was trained with the means of Inception
        return ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) if entry.name == "googlenet" else IMAGENET
    config = _timm().get_pretrained_cfg(f"{candidate.name}.{candidate.tag}" if candidate.tag else candidate.name)
    return (tuple(config.mean), tuple(config.std)) if config else IMAGENET


def header(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself (its `__metadata__`); DataError when it is not one or was cut off.

    Format: 8 bytes little-endian length, that many bytes of JSON, then the tensors (huggingface/safetensors, format section).
    """
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            size = path.stat().st_size
            if length > min(size, 100_000_000):
                raise ValueError("its header is longer than the file")
            content = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in content.items() if name != "__metadata__"]
        if 8 + length + max(ends, default=0) != size:
            raise ValueError("it is cut off, or longer than its header says")
        return {str(name): str(value) for name, value in content.get("__metadata__", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise DataError(f"{path} is no usable weights file: {error}", hint="download or copy it again") from error


def _three(text: str, path: Path) -> tuple[float, float, float]:
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError as error:
        raise DataError(
            f"{path} says mean or std {text!r}, which is not three numbers", hint="write them as 0.5,0.5,0.5"
        ) from error
    return first, second, third


def from_hub(repository: str, endpoint: str | None = None) -> Path | None:
    """`model.safetensors` of a repository of the Hugging Face hub, kept in settings().cache/hub; None when it cannot be had.

    A file that is there already is used without asking anybody; otherwise, unless offline, the hub is asked for this one file,
    without telemetry, and given up after a few seconds when it does not answer.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub import constants
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        return None
    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    folder, file = settings().cache / "hub", "model.safetensors"
    try:
        return Path(hub.hf_hub_download(repository, file, cache_dir=folder, local_files_only=True))
    except Exception:  # not there yet
        if settings().offline:
            return None
    try:
        _reach(endpoint or constants.ENDPOINT)  # the library itself would try for half a minute
        with progress.task(f"Fetching weights {repository}"):
            return Path(hub.hf_hub_download(repository, file, cache_dir=folder, etag_timeout=4, endpoint=endpoint))
    except Exception as error:  # no connection, no such repository, no space: a dozen classes of three libraries
        reason = (str(error).splitlines() or [""])[0]
        progress.note(f"the hub has not given {repository}: {type(error).__name__}: {reason[:160]}")
        return None


def _reach(endpoint: str, seconds: float = 4.0) -> None:
    """Return when something answers there, whatever it says; raises OSError."""
    import urllib.error
    import urllib.request

    if not endpoint.startswith(("http://", "https://")):
        raise OSError(f"{endpoint} is no web address")
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(endpoint, timeout=seconds):
        pass


def build(start: Start) -> tuple[nn.Module, int]:
    """The pretrained backbone, float32, in evaluation mode: (module (n, 3, size, size) normalised -> (n, width), width).

    Raises DataError when the weights do not fit the network, UsageError for an input that it does not take.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from sightline.learn.pooled import Pooled
    from sightline.learn.zoo.networks import as_published, classifiers
    from sightline.learn.zoo.stems import fix_pooling

    network = as_published(start.name, start.input.size, dict(start.options))
    unneeded = classifiers(network)
    try:
        state, needed = _resampled(load_file(start.path), network), set(network.state_dict())
        network.load_state_dict({name: t for name, t in state.items() if name in needed or not name.startswith(unneeded)})
    except (SafetensorError, RuntimeError, OSError) as error:
        first = str(error).replace("\t", " ").splitlines()
        raise DataError(
            f"{start.path} does not fit the network {start.name}: {' '.join(line.strip() for line in first[:2])[:240]}",
            hint="the file must be named after its network in timm's layout, NAME.safetensors; download it again",
        ) from error
    network.eval()
    fix_pooling(network, start.input.size)
    module = Pooled(network, start.input.size)
    return module.eval(), module.width


def _resampled(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A transformer's position embedding at this input size, as timm resamples it (bicubic); other weights as they are."""
    here = dict(network.named_parameters()).get("pos_embed")
    if here is None or "pos_embed" not in state or state["pos_embed"].shape == here.shape:
        return state
    from timm.models.vision_transformer import checkpoint_filter_fn

    return dict(checkpoint_filter_fn(state, network))


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise missing_extra("deep", "using a pretrained network") from error
    return timm
