"""The records of a search for better values: every trial, the best one beside the default, and what they are about."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.types import Record, Score, Split

State = Literal["complete", "pruned", "failed"]
Setting = float | int | str


class TuningTrial(Record):
    """One training with one choice of values. Scores are of the validation pictures, which the choice is made on."""

    number: int = Field(description="in the order of time, from 0: the default")
    values: dict[str, Setting]
    state: State
    score: float | None = Field(default=None, description="of a complete trial: share right, or mean average precision")
    loss: float | None = None
    epochs: int = Field(default=0, description="epochs done; 0: nothing to count")
    seconds: float = 0.0
    best_so_far: float | None = Field(default=None, description="the best score when this trial had ended")
    why: str = Field(default="", description="why it was stopped or failed")


class Choice(Record):
    """A trial whose model was finished and scored."""

    trial: int
    values: dict[str, Setting]
    validation: float = Field(description="on the pictures that the choice was made on: flatters the best of many")
    score: Score = Field(description="of the exported file, on the pictures that `scored_on` names")


class Tuning(Record):
    """A whole search. `best` and `default` are None when not one trial fitted the budget."""

    way: str
    measure: str = Field(description="top1 (share right) or map (mean average precision)")
    scored_on: Split
    pictures: int
    chosen_on: int = Field(description="validation pictures that the choice was made on")
    minutes: float | None
    epochs: int = Field(description="of every trial that is not stopped; 0: no epochs")
    trials: tuple[TuningTrial, ...]
    best: Choice | None = None
    default: Choice | None = None
    gain: Score | None = Field(default=None, description="best minus default, paired, on the pictures that `scored_on` names")
    importance: dict[str, float] = Field(default_factory=dict, description="share of each value in what differs (PED-ANOVA)")
    about: str = Field(description="what the numbers are about, in plain words")
    page: str = ""
