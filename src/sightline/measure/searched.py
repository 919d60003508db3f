"""The records of an architecture search: every training of a candidate, the best of each strategy, what that says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.types import Record, Score

Strategy = Literal["random", "tpe", "evolution"]


class Tried(Record):
    """One training of a candidate; a line of the journal."""

    strategy: Strategy
    number: int = Field(description="which of its strategy's candidates, from 0")
    rung: int = Field(description="of the halving: 0, all candidates; each later one, the better half, trained longer")
    cell: str = Field(description="the network's name: --backbone takes it")
    epochs: int
    score: float = Field(description="on pictures set apart from the training pictures; what the search goes by")
    loss: float = Field(description="on the same pictures; decides between equal scores")
    seconds: float
    parameters: int
    multiply_adds: int
    file_bytes: int
    latency_ms: float = Field(description="one picture, one thread, ONNX Runtime, measured on this machine")
    state: Literal["finished", "failed"] = "finished"
    why: str = ""


class Found(Record):
    """The best of one strategy."""

    strategy: Strategy
    cell: str
    score: float = Field(description="on the pictures that the search went by")
    unseen: Score = Field(description="on the validation pictures, which the search has not seen")
    parameters: int
    multiply_adds: int
    file_bytes: int
    latency_ms: float
    epochs: int
    candidates: int
    trainings: int
    seconds: float = Field(description="of all its trainings")


class Search(Record):
    """A search, whole."""

    strategy: Strategy
    measure: str = Field(description="top1 (share right) or map (mean average precision)")
    rungs: tuple[tuple[int, int], ...] = Field(description="candidates of each strategy and epochs, rung by rung")
    pictures: int = Field(description="that each candidate learnt from")
    judges: int = Field(description="training pictures set apart, that the search went by")
    unseen: int = Field(description="validation pictures that the best of each strategy answered")
    minutes: float
    budget: str = Field(default="", description="the limits in words")
    tried: tuple[Tried, ...]
    found: tuple[Found, ...] = Field(description="the best of each strategy, random first")
    gap: Score | None = Field(default=None, description="the clever one's best minus random's, on the unseen pictures, paired")
    best: str
    conclusion: str
    page: str = ""
    created: str = ""
