"""The networks of the zoo by plain name: who makes them, under which licence, which weights there are. A literal table.

Knows no torch: naming a network is quick. Only `nearest` and `known` ask timm, whose other networks go by timm's own names.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from sightline.errors import UsageError, missing_extra
from sightline.learn import own
from sightline.learn.search.space import is_cell, read

Maker = Literal["timm", "torchvision", "sightline"]
LEAST = 32  # pixels a side that every network of the table takes when it is trained from scratch
WIDTHS = (0.1, 1.4)  # of a MobileNet, of GoogLeNet


@dataclass(frozen=True, slots=True)
class Entry:
    """A network: `architecture` is its maker's name, `tag` its weights on the hub ("": none there), `size` is their input.

    `least` is the smallest input with the stem that the weights were trained with; from scratch it is LEAST for all.
    `dropout` is the share that its paper drops before the last layers.
    """

    name: str
    maker: Maker
    architecture: str
    tag: str
    weights_licence: str  # "": no weights known
    size: int = 224
    least: int = 32
    dropout: float = 0.0
    width: float = 1.0  # multiplier of all channels

    @property
    def licence(self) -> str:
        """Of the code."""
        return "BSD-3-Clause" if self.maker == "torchvision" else "Apache-2.0"


DEPTHS = (8, 14, 20, 32, 44, 56)  # of our stacks for small pictures: 6n + 2
APACHE, BSD, MIT = "Apache-2.0", "BSD-3-Clause", "MIT"


def _timms(family: str, *rows: tuple[str, str, str, int], dropout: float = 0.0) -> list[Entry]:
    """Entries of timm's networks: each row is the rest of the name, tag, licence of the weights, input."""
    return [
        Entry(family + rest, "timm", family + rest, tag, licence, size, dropout=dropout) for rest, tag, licence, size in rows
    ]


ENTRIES: tuple[Entry, ...] = (
    # torchvision's weights (BSD-3-Clause) are not on the hub: NAME.safetensors in SIGHTLINE_WEIGHTS, in torchvision's layout
    Entry("alexnet", "torchvision", "alexnet", "", BSD, least=63, dropout=0.5),
    *_timms("vgg", ("16", "tv_in1k", BSD, 224), ("19", "tv_in1k", BSD, 224), dropout=0.5),
    *_timms("vgg", ("16_bn", "tv_in1k", BSD, 224), ("19_bn", "tv_in1k", BSD, 224), dropout=0.5),
    Entry("googlenet", "torchvision", "googlenet", "", BSD, dropout=0.2),
    Entry("inception_v3", "timm", "inception_v3", "tv_in1k", APACHE, 299, 75, 0.5),
    *_timms("resnet", ("18", "a1_in1k", APACHE, 224), ("34", "a1_in1k", APACHE, 224), ("50", "a1_in1k", APACHE, 224)),
    *_timms("resnet", ("101", "a1h_in1k", APACHE, 224), ("152", "a1h_in1k", APACHE, 224)),
    Entry(own.NAME, "sightline", own.NAME, "", APACHE, own.SIZE),  # its weights are in the package (own/)
    Entry("speednet", "sightline", "speednet", "", "", 32),  # ours: the speed recipe (speed.py)
    # ours, for pictures of 32 px (stacks.py): the plain ones are there to see what short cuts are good for
    *(Entry(f"{kind}{depth}", "sightline", f"{kind}{depth}", "", "", 32) for kind in ("resnet", "plain") for depth in DEPTHS),
    Entry("squeezenet1_0", "torchvision", "squeezenet1_0", "", BSD, dropout=0.5),
    Entry("squeezenet1_1", "torchvision", "squeezenet1_1", "", BSD, dropout=0.5),
    Entry("mobilenet_v1", "timm", "mobilenetv1_100", "ra4_e3600_r224_in1k", APACHE, dropout=0.001),
    Entry("mobilenet_v2", "timm", "mobilenetv2_100", "ra_in1k", APACHE, dropout=0.2),
    Entry("mobilenet_v3_small", "timm", "mobilenetv3_small_100", "lamb_in1k", APACHE, dropout=0.2),
    Entry("mobilenet_v3_large", "timm", "mobilenetv3_large_100", "ra_in1k", APACHE, dropout=0.2),
    Entry("mobilenet_v4_small", "timm", "mobilenetv4_conv_small", "e2400_r224_in1k", APACHE, dropout=0.2),
    Entry("mobilenet_v4_medium", "timm", "mobilenetv4_conv_medium", "e500_r256_in1k", APACHE, 256, dropout=0.2),
    *_timms("efficientnet_", ("b0", "ra_in1k", APACHE, 224), ("b1", "ra4_e3600_r240_in1k", APACHE, 240), dropout=0.2),
    *_timms("efficientnet_", ("b2", "ra_in1k", APACHE, 256), ("b3", "ra2_in1k", APACHE, 288), dropout=0.3),
    *_timms("efficientnet_", ("b4", "ra2_in1k", APACHE, 320), ("b5", "sw_in12k_ft_in1k", APACHE, 448), dropout=0.4),
    *_timms("efficientnet_", ("b6", "", "", 528), ("b7", "", "", 600), dropout=0.5),
    *_timms("convnext_", ("atto", "d2_in1k", APACHE, 224), ("femto", "d1_in1k", APACHE, 224), ("pico", "d1_in1k", APACHE, 224)),
    *_timms("convnext_", ("nano", "in12k_ft_in1k", APACHE, 224), ("tiny", "in12k_ft_in1k", APACHE, 224)),
    *_timms("convnext_", ("small", "in12k_ft_in1k", APACHE, 224), ("base", "fb_in22k_ft_in1k", APACHE, 224)),
    *_timms("regnetx_", ("002", "pycls_in1k", MIT, 224), ("004", "pycls_in1k", MIT, 224), ("008", "tv2_in1k", BSD, 224)),
    *_timms("regnetx_", ("016", "tv2_in1k", BSD, 224), ("032", "tv2_in1k", BSD, 224)),
    *_timms("regnety_", ("002", "pycls_in1k", MIT, 224), ("004", "tv2_in1k", BSD, 224), ("008", "pycls_in1k", MIT, 224)),
    *_timms("regnety_", ("016", "tv2_in1k", BSD, 224), ("032", "ra_in1k", APACHE, 224)),
    *(
        Entry(f"{family}_{size}", "timm", f"{family}_{size}_patch16_224", tag, APACHE)
        for family, size, tag in (
            ("vit", "tiny", "augreg_in21k_ft_in1k"),
            ("vit", "small", "augreg_in21k_ft_in1k"),
            ("vit", "base", "augreg2_in21k_ft_in1k"),
            ("deit", "tiny", "fb_in1k"),
            ("deit", "small", "fb_in1k"),
            ("deit", "base", "fb_in1k"),
        )
    ),
)
ZOO: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}

# MobileNets of another width that have weights: timm's name, tag
WIDE: dict[tuple[str, float], tuple[str, str]] = {
    ("mobilenet_v2", 0.5): ("mobilenetv2_050", "lamb_in1k"),
    ("mobilenet_v2", 1.4): ("mobilenetv2_140", "ra_in1k"),
    ("mobilenet_v3_small", 0.5): ("mobilenetv3_small_050", "lamb_in1k"),
    ("mobilenet_v3_small", 0.75): ("mobilenetv3_small_075", "lamb_in1k"),
    ("mobilenet_v4_small", 0.5): ("mobilenetv4_conv_small_050", "e3000_r224_in1k"),
}


def find(name: str) -> Entry | None:
    """The zoo's entry of a plain name, such as resnet18 or mobilenet_v2:0.35; None for any other name.

    Raises UsageError for a width that is no number from 0.1 to 1.4, and for one of a network that has none.
    """
    plain, colon, text = name.partition(":")
    entry = ZOO.get(plain)
    if entry is None or not colon:
        return entry
    if not plain.startswith(("mobilenet", "googlenet")):
        hint = "only MobileNets and GoogLeNet do, such as mobilenet_v2:0.35"
        raise UsageError(f"{plain} has no width to choose, got {name!r}", hint=hint)
    low, high = WIDTHS
    width = float(text) if re.fullmatch(r"\d*\.?\d+", text) else 0.0
    if not low <= width <= high:
        raise UsageError(f"the width of {plain} must be from {low} to {high}, got {text!r}", hint=f"such as {plain}:0.5")
    if width == 1:
        return entry
    name = f"{plain}:{width:g}"
    if (plain, width) in WIDE:
        architecture, tag = WIDE[plain, width]
        return replace(entry, name=name, architecture=architecture, tag=tag)
    return replace(entry, name=name, architecture=name, tag="", weights_licence="", width=width)


def scratch_size(name: str | None) -> int | None:
    """Pixels a side that a network is made for when it is trained from scratch; None: no size of its own."""
    if name and is_cell(name):
        return read(name).resolution
    entry = find(name) if name else None
    return entry.size if entry and entry.maker == "sightline" else None


def check(name: str) -> None:
    """Whether a network of that name can be built; UsageError names the nearest. Asks timm only for a name that is not ours."""
    if is_cell(name):
        read(name)
    elif find(name) is None and not timm().is_model(name.partition(".")[0]):
        raise unknown(name)


def unknown(name: str) -> UsageError:
    """The refusal of a name that nobody knows, with the nearest of ours and of timm's."""
    near = nearest(name)
    hint = f"did you mean {', '.join(near)}?" if near else "`sightline models zoo` lists the networks"
    return UsageError(f"no network is called {name!r}", hint=hint)


def nearest(name: str, count: int = 4) -> list[str]:
    """Names like this one: at most two of ours first, then timm's."""
    plain = name.lower().partition(":")[0].partition(".")[0]
    ours = difflib.get_close_matches(plain, ZOO, 2)
    theirs = difflib.get_close_matches(plain, timm().list_models(), count)
    return list(dict.fromkeys([*ours, *theirs]))[:count]


def timm() -> Any:
    """The library, or MissingExtraError."""
    try:
        import timm
    except ImportError as error:
        raise missing_extra("deep", "building a network by name") from error
    return timm
