"""doctor: say what is installed, what will be used, and what is missing. Reads metadata, files and settings only.

Loads neither torch nor a model, writes nothing, and never asks the network.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from sightline.types import Record, Size, Way
from sightline.verbs import installed
from sightline.verbs.installed import Extra, Package, version_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from sightline.settings import Settings

MOST_FILES = 20_000  # a larger folder is not counted to the end
LITTLE_MEMORY = 2.0  # GB: below this, training and large pictures are at risk


class Place(Record):
    """A folder of ours. Counting stops after 20,000 files: then `counted` is False and the size a lower bound."""

    path: str
    exists: bool
    writable: bool
    files: int
    megabytes: float
    counted: bool
    free_gb: float = Field(description="free space on its disk")


class Training(Record):
    """What `train --size SIZE` would start from."""

    size: Size
    ways: tuple[Way, ...]
    network: str
    weights: str


class Doctor(Record):
    """The state of this installation."""

    sightline: str
    python: str
    platform: str
    processor: str
    cores: int = Field(description="that this process may use")
    threads: int = Field(description="worker threads in force")
    memory_gb: float = Field(description="of the machine, or of the container when that is less; 0: unknown")
    memory_free_gb: float = Field(description="0: unknown")
    gpu: str
    providers: tuple[str, ...] = Field(description="what ONNX Runtime can compute on")
    provider: str = Field(description="what models are computed with; empty: what SIGHTLINE_PROVIDER asks for is not there")
    provider_asked: str = Field(description="SIGHTLINE_PROVIDER")
    offline: bool
    max_megapixels: float
    home: Place
    cache: Place
    weights: Place | None
    weight_files: tuple[str, ...]
    latest_model: str | None
    packages: tuple[Package, ...]
    extras: tuple[Extra, ...]
    decoders: dict[str, str] = Field(description="picture format -> what decodes it; empty: nothing does")
    training: tuple[Training, ...]
    advice: tuple[str, ...]


def doctor() -> Doctor:
    """Say what is installed and what will be used: packages, extras, folders, decoders, weights."""
    import sightline
    from sightline.settings import cores, settings

    now = settings()
    base, extras = installed.requirements()
    packages = tuple(installed.package(name, needed) for name, needed in base.items())
    parts = tuple(installed.extra_of(name, extras) for name in installed.PURPOSES)
    files = tuple(path.name for path in sorted(now.weights.glob("*.safetensors"))) if now.weights else ()
    providers, memory = installed.providers(), installed.memory()
    told = Doctor(
        sightline=sightline.__version__,
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        platform=platform.platform(terse=True),
        processor=installed.processor(),
        cores=cores(),
        threads=now.threads,
        memory_gb=memory[0],
        memory_free_gb=memory[1],
        gpu=installed.gpu(),
        providers=providers,
        provider=installed.provider(),
        provider_asked=now.provider,
        offline=now.offline,
        max_megapixels=now.max_megapixels,
        home=_place(now.home),
        cache=_place(now.cache),
        weights=_place(now.weights) if now.weights else None,
        weight_files=files,
        latest_model=_latest(),
        packages=packages,
        extras=parts,
        decoders=_decoders(),
        training=_training(now, files, deep=next(part.present for part in parts if part.name == "deep")),
        advice=(),
    )
    return told.model_copy(update={"advice": tuple(_advice(told))})


def _place(path: Path) -> Place:
    near = next((parent for parent in (path, *path.parents) if parent.exists()), Path("/"))
    size, files, counted = 0, 0, True
    for folder, _, names in os.walk(path):
        for name in names:
            files += 1
            try:
                size += os.lstat(Path(folder) / name).st_size
            except OSError:  # gone since
                continue
        if files > MOST_FILES:
            counted = False
            break
    return Place(
        path=str(path),
        exists=path.is_dir(),
        writable=near.is_dir() and os.access(near, os.W_OK | os.X_OK),
        files=files,
        megabytes=round(size / 1e6, 1),
        counted=counted,
        free_gb=round(shutil.disk_usage(near).free / 1e9, 1),
    )


def _latest() -> str | None:
    from sightline.errors import ModelNotFoundError
    from sightline.runtime.bundle import latest

    try:
        return str(latest())
    except ModelNotFoundError:
        return None


def _decoders() -> dict[str, str]:
    from PIL import features

    pillow = f"Pillow {version_of('pillow')}"
    fast, heif = version_of("simplejpeg"), version_of("pillow-heif")
    table = dict.fromkeys(("png", "tiff", "bmp", "gif"), pillow)
    table["jpeg"] = f"simplejpeg {fast} (libjpeg-turbo); {pillow} for the rare rest" if fast else ""
    table |= {kind: pillow if features.check(kind) else "" for kind in ("webp", "avif")}
    table["heic"] = f"pillow-heif {heif}" if heif else ""
    return dict(sorted(table.items()))


def _training(now: Settings, files: tuple[str, ...], *, deep: bool) -> tuple[Training, ...]:
    """What `learn.backbones.choose` would find for each size, told without asking anybody."""
    from sightline.learn.backbones import DIAL, OURS

    if not deep:
        return tuple(Training(size=size, ways=("probe",), network=OURS.name, weights="in the package") for size in DIAL)
    names = {file.removesuffix(".safetensors"): file for file in files}
    told = []
    for size, candidates in DIAL.items():
        first = candidates[0]
        tagged = f"{first.name}.{first.tag}"
        mine = ((c.name, names.get(f"{c.name}.{c.tag}") or names.get(c.name)) for c in candidates)
        other = next(iter(names), "")
        network, weights = next(((name, file) for name, file in mine if file), ("", ""))
        if not network and first == OURS:
            network, weights = OURS.name, "in the package"
        if not network and (now.cache / "hub" / f"models--timm--{tagged}" / "snapshots").is_dir():
            network, weights = first.name, "fetched earlier, in the cache"
        if not network and not now.offline:
            network, weights = first.name, f"asked from the hub (else {names.get(other, 'our own, in the package')})"
        if not network and other:
            network, weights = other.split(".")[0], f"{names[other]} for want of {first.name}"
        if not network:
            network, weights = OURS.name, f"in the package, for want of {first.name}"
        told.append(Training(size=size, ways=("probe", "fine-tune"), network=network, weights=weights))
    return tuple(told)


def _advice(told: Doctor) -> Iterator[str]:
    yield from _missing(told)
    for name, place in (("SIGHTLINE_HOME", told.home), ("SIGHTLINE_CACHE", told.cache)):
        if not place.writable:
            yield f"{name} ({place.path}) cannot be written: set it to a folder of yours"
        elif place.free_gb < 1:
            yield f"only {place.free_gb} GB are free on the disk of {name}"
    if told.weights and not told.weight_files:
        yield f"SIGHTLINE_WEIGHTS ({told.weights.path}) holds no .safetensors file"
    if 0 < told.memory_gb < LITTLE_MEMORY:
        yield f"{told.memory_gb} GB of memory is little: use --size tiny"
    if all("in the package" in entry.weights for entry in told.training) and "fine-tune" in told.training[0].ways:
        yield "no pretrained weights but our own small ones: larger networks are often better; see SIGHTLINE_WEIGHTS"
    if told.gpu != installed.NO_GPU and "CUDA" not in told.providers:
        yield "a GPU is there, but this ONNX Runtime answers on the CPU: pip install onnxruntime-gpu in its place"


def _missing(told: Doctor) -> Iterator[str]:
    if not told.provider:
        asked = told.provider_asked
        remedy = "pip install 'sightline[openvino]'" if asked.startswith("openvino") else "unset it, or set it to auto"
        yield f"SIGHTLINE_PROVIDER={asked} is not there: {remedy}"
    if not told.packages:
        yield "sightline itself is not installed, only its source is used: pip install ."
    for package in told.packages:
        state = "is missing" if package.version is None else f"{package.version} is too old"
        if not package.fits:
            yield f"{package.name} {state}: pip install '{package.name}>={package.needed}'"
    for extra in told.extras:
        if extra.name != "features" and not extra.present:
            yield f"for {extra.purpose}: {extra.install}"
    for kind, decoder in told.decoders.items():
        if not decoder:
            yield f"{kind} pictures will be refused: nothing here decodes them"


def show(result: Doctor) -> RenderableType:
    """Tables for people: what is there in green, what is missing in yellow, and last what to do."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [
        Text(f"sightline {result.sightline}", style="bold"),
        _machine(result),
        Text("\nFolders", style="bold"),
        _folders(result),
        Text("\nPackages and extras", style="bold"),
        _installed(result),
        Text("\nPicture formats", style="bold"),
        _table([(_mark(bool(by)), kind, by or "refused") for kind, by in result.decoders.items()]),
        Text("\nWhat train starts from", style="bold"),
        _table([(_mark(True), t.size, t.network, " or ".join(t.ways), t.weights) for t in result.training]),
        Text(),
    ]
    parts += [Text(f"- {line}", style="yellow") for line in result.advice] or [Text("All is well.", style="green")]
    return Group(*parts)


def _machine(result: Doctor) -> Table:
    memory = f"{result.memory_gb} GB, {result.memory_free_gb} GB free" if result.memory_gb else "unknown"
    return _table(
        [
            ("python", result.python),
            ("system", result.platform),
            ("processor", result.processor),
            ("cores", f"{result.cores}, {result.threads} worker threads"),
            ("computes with", _computes(result)),
            ("memory", memory),
            ("gpu", f"{result.gpu}; ONNX Runtime computes on {', '.join(result.providers) or 'nothing'}"),
            ("network", "never asked (SIGHTLINE_OFFLINE=1)" if result.offline else "asked for pretrained weights only"),
            ("largest picture", f"{result.max_megapixels:g} megapixels"),
            ("latest model", result.latest_model or "none trained yet"),
        ]
    )


def _computes(result: Doctor) -> str:
    from sightline.runtime.engines import TITLES

    if not result.provider:
        return f"nothing: SIGHTLINE_PROVIDER={result.provider_asked} is not there"
    title = TITLES.get(result.provider, result.provider)
    return f"{title}, one core for each of {result.threads} threads (SIGHTLINE_PROVIDER={result.provider_asked})"


def _folders(result: Doctor) -> Table:
    rows = []
    for name, place in (("home", result.home), ("cache", result.cache), ("weights", result.weights)):
        if place is None:
            rows.append((_mark(False), name, "SIGHTLINE_WEIGHTS is not set", ""))
            continue
        size = (
            f"{'' if place.counted else 'over '}{place.files} files, {place.megabytes} MB" if place.exists else "not made yet"
        )
        trouble = "" if place.writable or name == "weights" else ", NOT WRITABLE"
        rows.append((_mark(not trouble), name, place.path, f"{size}, {place.free_gb} GB free{trouble}"))
    return _table(rows)


def _installed(result: Doctor) -> Table:
    rows = [(_mark(p.fits), p.name, p.version or "missing", f">= {p.needed}" if p.needed else "") for p in result.packages]
    rows += [(_mark(e.present), f"[{e.name}]", "complete" if e.present else "missing", _wants(e)) for e in result.extras]
    return _table(rows)


def _wants(extra: Extra) -> str:
    return extra.purpose if extra.present else f"{extra.purpose}; lacks {', '.join(extra.missing)}: {extra.install}"


def _mark(good: bool) -> str:
    return "ok" if good else "--"


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    """Rows of plain words; a first word `ok` becomes green, `--` yellow."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in rows[0]:
        table.add_column(overflow="fold")
    styles = {"ok": "green", "--": "yellow"}
    for row in rows:
        table.add_row(Text(row[0], style=styles.get(row[0], "dim")), *(Text(word) for word in row[1:]))
    return table
