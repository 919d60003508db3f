"""What a training learns from, as the loop sees it: pictures by number, a batch and its loss, how well it answers.

Whole pictures with classes (step.py) and scenes with boxes (detect/data.py) are lessons; the loop, its checkpoints, clocks and
processes are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from sightline.learn.plan import Plan

if TYPE_CHECKING:
    from sightline.learn.network import Trainable
    from sightline.learn.step import Parts

Piece = Callable[[slice], tuple[Tensor, float]]  # rows of a batch -> (their mean loss, pictures right; 0 where nobody counts)


class Lesson(Protocol):
    """Everything random comes from the generator that is passed in, so that a resumed training is the same, bit for bit."""

    @property
    def pictures(self) -> int:
        """How many there are to learn from."""

    @property
    def val_pictures(self) -> int:
        """How many there are to validate on; 0: the last weights are the best."""

    @property
    def measure(self) -> str:
        """What `validate` counts: "accuracy", "mAP@.5"."""

    def identity(self) -> dict[str, Any]:
        """JSON values that are the same when pictures and truth are: what a resumed training is recognised by."""

    def held(self, model: Trainable, plan: Plan, device: torch.device) -> Any:
        """What is made once and kept for all steps (`Parts.held`): pictures on the GPU, class weights."""

    def shares(self, plan: Plan) -> NDArray[np.float32] | None:
        """(n,) how often each picture is drawn, mean 1; None: each once an epoch."""

    def batch(self, parts: Parts, rows: Tensor, step: int, steps: int, draws: Generator) -> Piece:
        """The pictures `rows`, changed for this step; what comes back computes the loss of some of them, in training mode."""

    def validate(self, parts: Parts) -> tuple[float, float]:
        """(loss, share right or the like) of the averaged weights on the validation pictures; (nan, nan) without any."""

    def score(self, loss: float, right: float) -> list[float]:
        """What epochs are compared by, the larger the better, of `validate`'s answer."""

    def validation_seconds(self, model: Trainable, plan: Plan, device: torch.device) -> float:
        """Measured time of one validation, from a few pictures; `model` is a copy that may be moved."""
