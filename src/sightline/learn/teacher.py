"""A finished model that teaches a new one: its softened answers for the very pictures that the student sees, and their loss.

Knowledge distillation (Hinton et al. 2015, arXiv 1503.02531) with consistent teaching (Beyer et al. 2021, arXiv 2106.05237).
Knows bundles by path and classes by name, not how a step is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DatasetError, UsageError
from sightline.runtime.bundle import ONNX, read_bundle
from sightline.runtime.model import Model, in_order
from sightline.types import Card, InputSpec, Task

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 0.7  # of the loss that comes from the teacher, where the plan does not say
LEAST = 1e-7  # a probability below this is no smaller for the student: float32 has no more to say


@dataclass(frozen=True, slots=True)
class Teacher:
    """Answers float pictures (n, s, s, 3) in 0..255 with logits (n, classes), classes in the student's order."""

    name: str
    id: str  # of the bundle: the same teacher has the same
    model: Model
    rows: NDArray[np.intp]  # the place of each of the student's classes among the teacher's
    multilabel: bool

    def __call__(self, pixels: Tensor) -> Tensor:
        import torch

        size = self.model.card.input.size
        images = _resized(pixels.detach(), size).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        # one session, shared by threads: each of them answers a part of the batch
        parts = np.array_split(images, min(len(images), self.model.threads))
        answers = in_order(lambda part: self.model.answer(part).probabilities, parts, len(parts))
        given = torch.from_numpy(np.concatenate(list(answers))[:, self.rows]).to(pixels.device)
        given = given.clamp(LEAST, 1 - LEAST)
        return torch.logit(given) if self.multilabel else given.log()


def _resized(pixels: Tensor, size: int) -> Tensor:
    from torch.nn import functional

    if pixels.shape[1] == size:
        return pixels
    channels = pixels.permute(0, 3, 1, 2)
    found = functional.interpolate(channels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return found.permute(0, 2, 3, 1)


def card_of(path: Path) -> Card:
    """The teacher's passport; its `id` names the teacher. BundleError, ModelNotFoundError."""
    return read_bundle(path).card


def check(path: Path, classes: tuple[str, ...], task: Task, steps: tuple[str, ...] = ()) -> Card:
    """Refuse a teacher that cannot teach these classes: DatasetError names one that it does not know, UsageError where the
    tasks or the preprocessing differ.
    """
    return _checked(card_of(path), classes, task, steps)


def _checked(card: Card, classes: tuple[str, ...], task: Task, steps: tuple[str, ...]) -> Card:
    if card.input.frames:
        raise UsageError(f"the teacher {card.name} answers for clips, not for pictures", hint="take a teacher for pictures")
    if (card.task == "multilabel") != (task == "multilabel"):
        kinds = {True: "several labels a picture", False: "one class a picture"}
        mine, its = kinds[task == "multilabel"], kinds[card.task == "multilabel"]
        raise UsageError(f"the teacher {card.name} gives {its}, the data have {mine}", hint="take a teacher of the same task")
    strange = [name for name in classes if name not in card.classes]
    if strange:
        raise DatasetError(
            f"the teacher {card.name} does not know the class {strange[0]}"
            + (f" (nor {len(strange) - 1} others of the data)" if len(strange) > 1 else ""),
            hint="its classes are " + ", ".join(card.classes[:20]),
            detail={"classes": strange},
        )
    if card.input.steps != steps:
        its_steps, mine = ",".join(card.input.steps), ",".join(steps)
        raise UsageError(
            f"the teacher sees pictures prepared with {its_steps or 'nothing'}, the student with {mine or 'nothing'}",
            hint=f"give --prepare {its_steps}" if its_steps else "leave out --prepare",
        )
    return card


def called(path: Path, classes: tuple[str, ...], task: Task, spec: InputSpec) -> Teacher:
    """The teacher in the bundle `path`, for a student with these classes and this input. Raises what `check` does."""
    bundle = read_bundle(path)
    card = _checked(bundle.card, classes, task, spec.steps)
    rows = np.array([card.classes.index(name) for name in classes], np.intp)
    return Teacher(card.name, card.id, Model(card, bundle.files[ONNX]), rows, task == "multilabel")


def distilled(logits: Tensor, taught: Tensor, temperature: float, multilabel: bool) -> Tensor:
    """T^2 times the mean divergence KL(teacher || student) of the answers softened by the temperature T; 0 where both agree.

    Logits (n, classes). For several labels a yes/no answer each: the mean over pictures and labels, as their ordinary loss is.
    T^2 keeps the gradient's size when T changes (arXiv 1503.02531, section 2).
    """
    from torch.nn import functional

    student, teacher = logits / temperature, taught.to(logits.dtype) / temperature
    if multilabel:
        target = teacher.sigmoid()
        cross = functional.binary_cross_entropy_with_logits(student, target)
        return temperature**2 * (cross - functional.binary_cross_entropy_with_logits(teacher, target))
    given = functional.log_softmax(teacher, 1)
    return temperature**2 * functional.kl_div(functional.log_softmax(student, 1), given, reduction="batchmean", log_target=True)
