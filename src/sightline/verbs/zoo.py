"""The networks that can be trained by name, with cost, licences and weights: what `models zoo` answers. Trains nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sightline.errors import UsageError
from sightline.types import Record

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.learn.zoo import names

OTHERS = 12  # at most so many of timm's other networks are counted for one answer


class Network(Record):
    """A network of the zoo. Cost is of the network that training from scratch makes, with a head for 1,000 classes."""

    name: str = Field(description="what `train --backbone` takes")
    parameters: int
    multiply_adds: int = Field(description="for one picture of `size` pixels a side")
    size: int
    weights_size: int = Field(description="pixels a side that its pretrained weights were trained with")
    least: int = Field(description="smallest input from scratch")
    least_pretrained: int = Field(description="smallest input with pretrained weights")
    maker: Literal["timm", "torchvision", "sightline"]
    licence: str = Field(description="of the code")
    weights_licence: str = Field(description="of the pretrained weights; empty: none are known")
    weights: Literal["file", "hub", "none"] = Field(description="where pretrained weights would be taken from now")


class Zoo(Record):
    networks: tuple[Network, ...]
    size: int


def listed(part: str, size: int) -> Zoo:
    """The networks whose name holds `part` (or the one it names), at `size`; UsageError for none, naming the nearest."""
    from sightline.learn.zoo import names as zoo

    if size < zoo.LEAST:
        raise UsageError(f"networks take pictures of at least {zoo.LEAST} px, got {size}", hint=f"--size {zoo.LEAST} or more")
    exact = zoo.find(part) if ":" in part else None
    found = [exact] if exact else [entry for entry in zoo.ENTRIES if part.lower() in entry.name]
    if not found:
        found = _others(part)
    return Zoo(networks=tuple(_network(entry, size) for entry in found), size=size)


def _others(part: str) -> list[names.Entry]:
    """timm's networks whose names hold `part`: at most OTHERS, in timm's order."""
    from sightline.learn.zoo import names as zoo

    timm = zoo.timm()
    every = timm.list_models(f"*{part.partition('.')[0]}*")
    if not every:
        raise zoo.unknown(part)
    rows = []
    for name in every[:OTHERS]:
        config = timm.get_pretrained_cfg(name)
        trained = bool(config and config.has_weights)
        size = max(config.input_size[1:]) if config else 224
        licence = (config.license or "not stated") if config and trained else ""
        least = size if config and config.fixed_input_size else zoo.LEAST
        rows.append(zoo.Entry(name, "timm", name, config.tag if config and trained else "", licence, size, least))
    return rows


def _network(entry: names.Entry, size: int) -> Network:
    from sightline.learn.backbones import at_hand, candidate_of
    from sightline.learn.zoo.costs import cost
    from sightline.learn.zoo.names import LEAST

    spent = cost(entry.name, size)
    return Network(
        name=entry.name,
        parameters=spent.parameters,
        multiply_adds=spent.multiply_adds,
        size=size,
        weights_size=entry.size,
        least=LEAST,
        least_pretrained=entry.least,
        maker=entry.maker,
        licence=entry.licence,
        weights_licence=entry.weights_licence,
        weights=at_hand(candidate_of(entry)),
    )


def show(result: Zoo) -> RenderableType:
    """One table, and what the columns mean."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "parameters", f"multiply-adds at {result.size} px", "input", "code", "weights", "at hand"):
        right = heading.startswith(("param", "multiply", "input"))
        table.add_column(heading, justify="right" if right else "left")
    for one in result.networks:
        table.add_row(
            Text(one.name, "bold"),
            f"{one.parameters / 1e6:.2f} M",
            f"{one.multiply_adds / 1e6:,.0f} M",
            f"{one.weights_size}",
            one.licence,
            one.weights_licence or "-",
            Text(one.weights, {"file": "green", "hub": "", "none": "dim"}[one.weights]),
        )
    rows: list[RenderableType] = [table, Text()]
    rows.append(
        Text(
            "input: pixels a side of the pretrained weights; from scratch every network of the zoo takes 32 px and more", "dim"
        )
    )
    rows.append(
        Text(
            "MobileNets and GoogLeNet take a width of 0.1 to 1.4: mobilenet_v2:0.35; any other name of timm's works, too", "dim"
        )
    )
    rows.append(Text(f"next: sightline train PHOTOS --backbone {result.networks[0].name}"))
    return Group(*rows)
