"""Where a model looked: how much the score of a label falls when a part of the picture is covered (occlusion).

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), section 4.2. Works for every model that
answers, whatever is inside, and needs no torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.runtime.model import Model, in_order

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


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(clipped / (1 - clipped)))
