"""A training's numbers told to TensorBoard or MLflow while it runs: local files only, one curve for each number of an epoch.

Knows the two libraries' own interfaces and what an epoch's numbers are called; nothing of how they came about. A training that
goes on where it was stopped writes its whole history anew, so that no epoch is there twice and none is missing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sightline.errors import MissingExtraError, UsageError, missing_extra, storage_errors
from sightline.settings import decline_telemetry

if TYPE_CHECKING:
    from sightline.learn.loop import Epoch

KINDS = ("tensorboard", "mlflow")
NUMBERS = {  # field of Epoch -> what the curve is called
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "rate": "rate",
    "seconds": "seconds",
}


@dataclass(frozen=True, slots=True)
class Log:
    """Who is told, and where: `folder` of all logs, `name` of this training among them."""

    kinds: tuple[str, ...]
    folder: Path
    name: str


class Writer(Protocol):
    """One who is told."""

    def begin(self, values: Mapping[str, Any]) -> None:
        """The values of the training, once."""

    def epoch(self, number: int, numbers: Mapping[str, float]) -> None:
        """What came out of epoch `number` (from 1), by the names of NUMBERS."""

    def close(self) -> None:
        """Nothing more comes."""


def read(text: str) -> tuple[str, ...]:
    """The kinds in "tensorboard,mlflow"; UsageError names the nearest, MissingExtraError what is not installed."""
    kinds = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for kind in kinds:
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, 1)
            raise UsageError(
                f"--log knows no {kind!r}", hint=f"did you mean {near[0]}?" if near else "one of " + ", ".join(KINDS)
            )
    if not kinds:
        raise UsageError("--log names nobody", hint="one of " + ", ".join(KINDS))
    if "tensorboard" in kinds and find_spec("tensorboard") is None:
        raise missing_extra("log", "--log tensorboard")
    if "mlflow" in kinds and find_spec("mlflow") is None:
        raise MissingExtraError("--log mlflow needs the package mlflow, which is not installed", hint="pip install mlflow")
    return kinds


@contextmanager
def opened(log: Log | None, values: Mapping[str, Any]) -> Iterator[Callable[[Sequence[Epoch]], None] | None]:
    """What is to be called with the history after every epoch (`train_network(on_epoch=...)`); None without a log."""
    if log is None:
        yield None
        return
    with storage_errors(log.folder), ExitStack() as stack:
        log.folder.mkdir(parents=True, exist_ok=True)
        writers: list[Writer] = []
        for kind in log.kinds:
            writer: Writer = TensorBoard(log) if kind == "tensorboard" else MLflow(log)
            stack.callback(writer.close)
            writer.begin(_flat(values))
            writers.append(writer)
        told = 0

        def tell(history: Sequence[Epoch]) -> None:
            nonlocal told
            for epoch in history[told:]:
                found = {NUMBERS[name]: number for name, number in asdict(epoch).items() if name in NUMBERS}
                for writer in writers:
                    writer.epoch(epoch.number, {name: float(number) for name, number in found.items() if number is not None})
            told = len(history)

        yield tell


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values under one name each: augment.flip."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return flat


class TensorBoard:
    """Event files in FOLDER/NAME, for `tensorboard --logdir FOLDER`."""

    def __init__(self, log: Log) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(log.folder / log.name), purge_step=0)

    def begin(self, values: Mapping[str, Any]) -> None:
        rows = "".join(f"\n| {name} | {value} |" for name, value in values.items())
        self._writer.add_text("values", f"| value | |\n|---|---|{rows}", 0)

    def epoch(self, number: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, number)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class MLflow:
    """A run in the SQLite file FOLDER/mlflow.db, for `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`.

    MLflow has declared its plain folders (`mlruns`) obsolete and refuses them since version 3.
    """

    def __init__(self, log: Log) -> None:
        decline_telemetry()  # before the import: MLflow asks its makers' server then
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=f"sqlite:///{log.folder.absolute() / 'mlflow.db'}")
        known = self._client.get_experiment_by_name("sightline")
        place = (log.folder.absolute() / "mlflow").as_uri()
        number = known.experiment_id if known else self._client.create_experiment("sightline", artifact_location=place)
        for old in self._client.search_runs([number]):
            if old.data.tags.get("sightline.name") == log.name:
                self._client.delete_run(old.info.run_id)
        self._run = self._client.create_run(number, run_name=log.name, tags={"sightline.name": log.name}).info.run_id

    def begin(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._client.log_param(self._run, name, value)

    def epoch(self, number: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._run, name, value, step=number)

    def close(self) -> None:
        self._client.set_terminated(self._run)
