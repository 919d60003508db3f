"""train's company: who teaches (--teacher), who is told (--log), how many processes train together (torchrun).

A story without an own command: what these wishes mean, and what they do not go together with, before any picture is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import UsageError
from sightline.settings import launch, settings
from sightline.verbs import resolve

if TYPE_CHECKING:
    from sightline.learn.fit import TrainRequest

NETWORKS = ("auto", "fine-tune", "scratch", "detect")  # ways that train a network
MANY = ("compare", "effort", "folds", "tune", "search")  # wishes that make several models


@dataclass(frozen=True, slots=True)
class Company:
    """Who comes along; `key`: what of it names a training."""

    teacher: Path | None
    kinds: tuple[str, ...]
    key: dict[str, Any]


def company(request: TrainRequest, bench: dict[str, Any], teacher: str | None, log: str | None) -> Company:
    """What --teacher and --log mean; under torchrun the others are met. UsageError, NotFoundError, MissingExtraError."""
    place, key = _taught(request, teacher)
    kinds = _told(request, log, bench)
    _join(request, bench)
    return Company(place, kinds, key)


def _taught(request: TrainRequest, teacher: str | None) -> tuple[Path | None, dict[str, Any]]:
    """Where the teacher lies, and what names it among the wishes: not its path, but what it is. UsageError, NotFoundError."""
    if teacher is None:
        return None, {}
    from sightline.learn.teacher import card_of

    if request.way not in NETWORKS:
        why = "a head on frozen features sees each picture once" if request.way == "probe" else "it trains no network"
        raise UsageError(f"--teacher does not go with --way {request.way}: {why}", hint="use --way fine-tune or scratch")
    place = resolve.model(teacher)
    return place, {"teacher": card_of(place).id}


def _told(request: TrainRequest, log: str | None, bench: dict[str, Any]) -> tuple[str, ...]:
    """Who is told of every epoch. UsageError, MissingExtraError."""
    if log is None:
        return ()
    from sightline.learn.writers import read

    if request.way not in NETWORKS:
        raise UsageError(f"--log tells of epochs, and --way {request.way} has none", hint="leave out --log")
    several = next((name for name in MANY if name in bench), None)
    if several:
        raise UsageError(f"--log tells of one training, and --{several} makes several", hint="leave out --log")
    return read(log)


def _join(request: TrainRequest, bench: dict[str, Any]) -> None:
    """Under torchrun: meet the other processes. UsageError where there is nothing that several could share."""
    if launch().processes == 1:
        return
    if request.way not in ("fine-tune", "scratch", "detect"):
        raise UsageError(
            f"--way {request.way} cannot be shared among several processes",
            hint="with torchrun give --way fine-tune or --way scratch, or start sightline without it",
        )
    several = next((name for name in MANY if name in bench), None)
    if several:
        raise UsageError(f"--{several} makes several models, and torchrun shares one", hint="start sightline without torchrun")
    from sightline.learn import parallel

    parallel.join()


def joined(request: TrainRequest, with_it: Company, name: str) -> TrainRequest:
    """The request with its teacher, and with the log of the training that makes the model `name`: in SIGHTLINE_HOME/logs."""
    from sightline.learn.writers import Log

    log = Log(with_it.kinds, settings().home / "logs", name) if with_it.kinds else None
    return replace(request, teacher=with_it.teacher, log=log)
