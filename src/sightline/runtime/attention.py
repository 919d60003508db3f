"""Where a model looked: how much the score of a label falls when a part of the picture is covered (occlusion).

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), section 4.2. Works for every model that
answers, whatever is inside, and needs no torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.runtime.model import Model, in_order
from sightline.types import Box

SHARE = 0.5  # of a map's maximum that belongs to the object, as far as a map can say
GREY = (124, 116, 104)  # the ImageNet mean colour: the least surprising cover for networks trained on photographs


def attention_map(model: Model, image: NDArray[np.uint8], label: str | None = None, grid: int = 7) -> NDArray[np.float32]:
    """Importance in 0..1 of each cell of a grid x grid map over a prepared picture uint8 (size, size, 3).

    `label` defaults to the best one. A cell's value is the fall of the label's log-odds when a patch of twice the cell's side
    around it is grey, averaged over all patches that cover it; cells that do not matter, or speak against the label, are 0.
    """
    classes = model.card.classes
    if label is not None and label not in classes:
        raise UsageError(f"the model has no label {label!r}", hint="its labels: " + ", ".join(classes[:20]))
    before = model.answer(image[None]).probabilities[0]
    index = classes.index(label) if label is not None else int(before.argmax())
    size = image.shape[0]
    edges = np.linspace(0, size, grid + 1).round().astype(int)

    def fall(cell: tuple[int, int]) -> float:
        row, column = cell
        top, bottom = edges[max(row - 1, 0)], edges[min(row + 1, grid)]
        left, right = edges[max(column - 1, 0)], edges[min(column + 1, grid)]
        covered = image.copy()
        covered[top:bottom, left:right] = GREY
        return _log_odds(float(before[index])) - _log_odds(float(model.answer(covered[None]).probabilities[0, index]))

    corners = [(row, column) for row in range(grid + 1) for column in range(grid + 1)]
    falls = np.array(list(in_order(fall, corners, model.threads)), dtype=np.float32).reshape(grid + 1, grid + 1)
    # a cell is covered by the four patches centred on its corners
    cells = (falls[:-1, :-1] + falls[1:, :-1] + falls[:-1, 1:] + falls[1:, 1:]) / 4
    cells = np.maximum(cells, 0)
    highest = float(cells.max())
    return (cells / highest if highest > 0 else cells).astype(np.float32)


def rough_box(cells: NDArray[np.float32], size: tuple[int, int], share: float = SHARE) -> Box | None:
    """The box (x0, y0, x1, y1) around the largest connected part of a map (g, g) that reaches `share` of its maximum, in pixels
    of a picture of `size` (width, height); None for a map of nothing.

    What Zhou et al. 2016 (arXiv 1512.04150, section 3.2) do with class activation maps. It says where the evidence lies, often
    a part of the object (a dog's head) or what always stands beside it: no detector's box, and one for all objects alike.
    """
    strong = cells >= share * float(cells.max())
    if not float(cells.max()) > 0:
        return None
    part = _largest(strong, cells)
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    across, down = size[0] / cells.shape[1], size[1] / cells.shape[0]
    box = (columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down)
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _largest(strong: NDArray[np.bool_], cells: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The connected part (sides touch) with most cells; of two as large the one that weighs more."""
    left = strong.copy()
    best, score = strong, (-1, -1.0)
    while left.any():
        part = np.zeros_like(left)
        part[np.unravel_index(int(left.argmax()), left.shape)] = True
        while True:  # grow by a cell on each side
            wide = np.pad(part, 1)
            grown = (part | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]) & strong
            if (grown == part).all():
                break
            part = grown
        found = (int(part.sum()), float(cells[part].sum()))
        best, score = (part, found) if found > score else (best, score)
        left &= ~part
    return best


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(clipped / (1 - clipped)))
