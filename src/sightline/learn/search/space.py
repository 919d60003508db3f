"""The space of networks that a search walks in: a genotype is a short text, and the name of a network everywhere else.

cell:r32-w24-2c3-2r3s-1i5x4 is a network for 32 px whose stages have 24, 48 and 96 channels: two plain 3x3 convolutions; two
residual blocks with squeeze-and-excitation; one inverted residual, 5x5, expansion 4. Knows no torch; cells.py builds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sightline.errors import UsageError

PREFIX = "cell:"
Kind = str  # one of KINDS
KINDS = {"c": "plain convolution", "r": "residual", "i": "inverted residual", "d": "depthwise separable"}
KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (1, 2, 3, 4, 6), (1, 2, 3, 4)
WIDTHS = (8, 12, 16, 24, 32, 48, 64)  # channels of the first stage; each later stage has twice as many
RESOLUTIONS = (32, 48, 64, 96)
STAGES = 3
LEAST, MOST = 32, 512  # pixels a side that a name may ask for
EXAMPLE = "cell:r32-w24-2c3-2r3s-1i5x4"

_WHOLE = re.compile(r"cell:r(\d{1,4})-w(\d{1,4})((?:-\d{1,2}[a-z]\d{1,2}(?:x\d{1,2})?s?){1,5})")
_STAGE = re.compile(r"(\d{1,2})([a-z])(\d{1,2})(?:x(\d{1,2}))?(s?)")


@dataclass(frozen=True, slots=True)
class Stage:
    """`depth` blocks of one kind; the stages after the first begin by halving the map. Expansion: inverted residuals only."""

    depth: int
    kind: Kind
    kernel: int
    expansion: int = 1
    attention: bool = False  # squeeze-and-excitation

    @property
    def text(self) -> str:
        wide = f"x{self.expansion}" if self.kind == "i" else ""
        return f"{self.depth}{self.kind}{self.kernel}{wide}{'s' if self.attention else ''}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A genotype: input resolution in pixels a side, channels of the first stage, the stages."""

    resolution: int
    width: int
    stages: tuple[Stage, ...]

    @property
    def text(self) -> str:
        return f"{PREFIX}r{self.resolution}-w{self.width}-" + "-".join(stage.text for stage in self.stages)


def is_cell(name: str | None) -> bool:
    """Whether a network's name is meant to be a genotype."""
    return bool(name and name.startswith(PREFIX))


def input_of(name: str | None) -> int | None:
    """Pixels a side that a genotype asks for; None for other networks' names."""
    return read(name).resolution if name and is_cell(name) else None


def read(text: str) -> Cell:
    """The genotype of a name; `read(cell.text) == cell`. UsageError says what is wrong with it."""
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        raise UsageError(f"{text!r} is no network of the search space", hint=f"they are written like {EXAMPLE}")
    resolution, width = int(whole[1]), int(whole[2])
    stages = tuple(_stage(part, text) for part in whole[3][1:].split("-"))
    _within("resolution", resolution, LEAST, MOST, text)
    _within("width", width, 4, 256, text)
    return Cell(resolution, width, stages)


def _stage(part: str, text: str) -> Stage:
    found = _STAGE.fullmatch(part)
    if found is None or found[2] not in KINDS:
        kinds = ", ".join(f"{letter} ({name})" for letter, name in KINDS.items())
        raise UsageError(
            f"no kind of block is called {part!r} in {text!r}", hint=f"a stage is depth, kind, kernel; kinds: {kinds}"
        )
    stage = Stage(int(found[1]), found[2], int(found[3]), int(found[4] or 1), bool(found[5]))
    _within("depth", stage.depth, 1, 12, text)
    _within("expansion", stage.expansion, 1, 6, text)
    if stage.kernel not in KERNELS:
        raise UsageError(f"a kernel is 3, 5 or 7, got {stage.kernel} in {text!r}")
    if found[4] and stage.kind != "i":
        raise UsageError(f"only inverted residuals have an expansion, got {part!r} in {text!r}", hint=f"such as {EXAMPLE}")
    return stage


def _within(what: str, value: int, low: int, high: int, text: str) -> None:
    if not low <= value <= high:
        raise UsageError(f"the {what} must be from {low} to {high}, got {value} in {text!r}", hint=f"such as {EXAMPLE}")


# --- the same as a flat record of choices, which every strategy works on

Genes = Mapping[str, int | str]
Space = dict[str, tuple[int | str, ...]]


def space(resolutions: Sequence[int] = RESOLUTIONS) -> Space:
    """Name of each gene -> its values, in order of size where they have one."""
    found: Space = {"resolution": tuple(resolutions), "width": WIDTHS}
    for number in range(STAGES):
        found |= {
            f"depth{number}": DEPTHS,
            f"kind{number}": tuple(KINDS),
            f"kernel{number}": KERNELS,
            f"expansion{number}": EXPANSIONS,
            f"attention{number}": (0, 1),
        }
    return found


def resolutions_for(side: int) -> tuple[int, ...]:
    """The resolutions worth trying for pictures whose shorter side is typically `side` px: enlarging them teaches nothing."""
    return tuple(one for one in RESOLUTIONS if one <= max(side, RESOLUTIONS[0]))


def cell_of(genes: Genes) -> Cell:
    """The genotype of all genes; an expansion that its kind of block does not have is dropped."""
    stages = tuple(
        Stage(
            int(genes[f"depth{number}"]),
            str(genes[f"kind{number}"]),
            int(genes[f"kernel{number}"]),
            int(genes[f"expansion{number}"]) if genes[f"kind{number}"] == "i" else 1,
            bool(genes[f"attention{number}"]),
        )
        for number in range(STAGES)
    )
    return Cell(int(genes["resolution"]), int(genes["width"]), stages)


def genes_of(cell: Cell) -> dict[str, int | str]:
    """The inverse of `cell_of`."""
    genes: dict[str, int | str] = {"resolution": cell.resolution, "width": cell.width}
    for number, stage in enumerate(cell.stages):
        genes |= {
            f"depth{number}": stage.depth,
            f"kind{number}": stage.kind,
            f"kernel{number}": stage.kernel,
            f"expansion{number}": stage.expansion,
            f"attention{number}": int(stage.attention),
        }
    return genes


def drawn(where: Space, draws: np.random.Generator) -> Cell:
    """Every gene at random, all values alike."""
    return cell_of({name: values[int(draws.integers(len(values)))] for name, values in where.items()})


def mutated(cell: Cell, where: Space, draws: np.random.Generator) -> Cell:
    """One gene changed to another value, so that the network is another one."""
    genes, names = genes_of(cell), [name for name, values in where.items() if len(values) > 1]
    while True:
        name = names[int(draws.integers(len(names)))]
        others = [value for value in where[name] if value != genes[name]]
        changed = {**genes, name: others[int(draws.integers(len(others)))]}
        if name.startswith("kind") and changed[name] == "i":  # it had no expansion of its own
            at = f"expansion{name[-1]}"
            changed[at] = where[at][int(draws.integers(len(where[at])))]
        if (new := cell_of(changed)) != cell:
            return new


def smallest(where: Space, kind: Kind = "d") -> Cell:
    """The network with the fewest parameters and multiply-adds: everything at its least, depthwise separable."""
    least = {name: values[0] for name, values in where.items()}
    return cell_of({**least, **{f"kind{number}": kind for number in range(STAGES)}})


def shrunk(cell: Cell, where: Space, draws: np.random.Generator) -> Cell:
    """One gene, at random among those that are not there yet, as in the smallest network."""
    genes, goal = genes_of(cell), genes_of(smallest(where))
    left = [name for name in where if genes[name] != goal[name]]
    if not left:
        return cell
    name = left[int(draws.integers(len(left)))]
    values = where[name]
    lower = goal[name] if name.startswith("kind") else values[max(0, values.index(genes[name]) - 1)]
    return cell_of({**genes, name: lower})
