"""The records of a comparison and of a cross-validation: what every candidate reached on the same pictures. Values only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.types import Record, Score, Split

State = Literal["finished", "stopped", "failed"]


class Standing(Record):
    """One candidate of a comparison. Numbers are None where they were not measured."""

    name: str = Field(description="as it was asked for: probe:small, fine-tune:resnet18")
    state: State
    why: str = Field(description="why this network and way; why it was stopped; why it failed")
    way: str = ""
    backbone: str = ""
    weights: str = ""
    score: Score | None = Field(default=None, description="on the pictures that `scored_on` names, the same for all")
    behind: Score | None = Field(default=None, description="the best one's score minus this one's, paired, on `chosen_on`")
    input_size: int | None = None
    parameters: int | None = None
    file_bytes: int | None = Field(default=None, description="of model.onnx")
    latency_ms: float | None = Field(default=None, description="median of one prepared picture, light runtime, this machine")
    latency_p95_ms: float | None = None
    train_seconds: float = 0.0
    model: str = Field(default="", description="where it was kept; empty: dropped")


class Leaderboard(Record):
    """All candidates, the best first."""

    measure: str = Field(description="top1 (share right), map (mean average precision) or, of detectors, map50 (mAP@.5)")
    scored_on: Split
    pictures: int
    chosen_on: int = Field(description="validation pictures that the choice was made on")
    entries: tuple[Standing, ...]
    best: str
    recommended: str
    recommendation: str
    minutes: float | None = None
    page: str = ""
    created: str = ""


class CrossValidation(Record):
    """K models, each scored on the pictures that it has not seen."""

    folds: tuple[Score, ...] = Field(description="main score of each fold's model on its own unseen pictures")
    overall: Score = Field(description="main score over all pictures, each answered by the model that has not seen it")
    spread: float = Field(description="standard deviation of the folds' scores")
    pictures: int
    share: float = Field(description="share of the pictures that each fold's model learnt from")
    about: str = Field(description="what the number is about, in one sentence")
