"""The records that travel between the floors: frozen, validated, JSON in and out. Arrays stay out of records.

Boxes are absolute pixels (x0, y0, x1, y1) of the upright picture. Times are ISO 8601 in UTC. Hashes are lower-case hex SHA-256.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# yes/no, one of many, several labels, objects with places, a class for every pixel
Task = Literal["binary", "multiclass", "multilabel", "detection", "segmentation"]
Split = Literal["train", "val", "test"]
Way = Literal["probe", "fine-tune", "scratch", "classic", "clip", "dbn", "autoencoder", "detect", "segment"]
Size = Literal["tiny", "small", "medium", "large"]
Flag = Literal["unsure", "unknown"]
Trait = Literal["crowd", "difficult", "truncated", "occluded", "depiction", "inside"]
Box = tuple[float, float, float, float]

BUNDLE_FORMAT = 1


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def _none(value: tuple[str, ...]) -> bool:
    return not value


class Mask(Record):
    """Which pixels of the upright picture are meant: run lengths down the columns, as COCO's compressed `counts`."""

    size: tuple[int, int] = Field(description="height and width of the picture")
    counts: str


class Annotation(Record):
    """What is said about a picture; a person's label and a model's answer differ only in origin and score."""

    label: str
    score: float | None = Field(default=None, description="probability in 0..1; None for a person's label")
    box: Box | None = None
    polygon: tuple[tuple[float, float], ...] | None = None
    rings: tuple[tuple[tuple[float, float], ...], ...] | None = Field(
        default=None, description="an outline in several parts: then `polygon` is None, and `mask` says the same in pixels"
    )
    mask: Mask | None = None
    keypoints: tuple[tuple[float, float], ...] | None = None
    visibility: tuple[int, ...] | None = Field(
        default=None,
        description="of each keypoint as in COCO: 0 not labelled (it lies at 0, 0), 1 hidden, 2 seen; None: all seen",
    )
    traits: tuple[Trait, ...] = Field(
        default=(), exclude_if=_none, description="as COCO (iscrowd), VOC and Open Images say, in alphabetical order"
    )
    track: int | None = Field(default=None, description="of an object that is followed through a video; from 1")
    text: str | None = None
    origin: str = Field(default="", description="human:ana, model:ID, import:folders")

    @property
    def placed(self) -> bool:
        """Whether it says where, not only what."""
        outline = self.polygon is not None or self.rings is not None or self.mask is not None
        return outline or self.box is not None or self.keypoints is not None

    @property
    def ignored(self) -> bool:
        """A crowd or a difficult object: to find it is neither asked for nor wrong, and nothing is learnt from it."""
        return "crowd" in self.traits or "difficult" in self.traits


class Skeleton(Record):
    """The keypoints of a class: their names in order, and which of them are joined by a line (numbers from 0)."""

    points: tuple[str, ...]
    links: tuple[tuple[int, int], ...] = ()

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For each keypoint the number of the one that stands at its place in a mirror: left and right change places."""
        spots = {name.lower(): spot for spot, name in enumerate(self.points)}
        sides = [
            name.lower().replace("left", "right") if "left" in name.lower() else name.lower().replace("right", "left")
            for name in self.points
        ]
        return tuple(spots.get(other, spot) for spot, other in enumerate(sides))


class Facts(Record):
    """Where a picture comes from and what may be done with it; part of a dataset's identity."""

    source: str = Field(default="", description="address, bucket path or video it was taken from")
    licence: str = Field(default="", description="as the source states it; empty: not stated")
    author: str = ""
    consent: str = Field(default="", description="what the person who took it agreed to, and when")
    taken_at: str = Field(default="", description="ISO 8601, when the owner wants it kept")


class Item(Record):
    """One picture of a dataset and the truth about it."""

    uri: str = Field(description="absolute path of the file")
    name: str = Field(description="the name people know it by: path inside its folder or archive")
    truth: tuple[Annotation, ...] = ()
    split: Split | None = Field(default=None, description="given by the data; None: decided by `split`")
    group: str | None = Field(default=None, description="leak key: pictures of one group stay on one side of a split")
    sha256: str = ""
    facts: Facts | None = Field(default=None, description="what is known about the picture besides its truth")

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(annotation.label for annotation in self.truth)


class Dataset(Record):
    """An immutable list of pictures with their labels; `hash` names its content."""

    name: str
    task: Task
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    positive: str | None = Field(default=None, description="the 'yes' class of a binary task, when the names tell")
    hash: str = ""
    source: str = ""
    kind: str = Field(default="folders", description="how it was read: folders, table, pictures")
    skeletons: dict[str, Skeleton] = Field(default_factory=dict, description="class -> its keypoints, where they have names")
    failures: tuple[Failure, ...] = Field(default=(), description="rows or files that were left out, each with its reason")

    def part(self, split: Split) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.split == split)


class InputSpec(Record):
    """How a picture is prepared for a model: part of the model, used by training, predict, serve and export alike."""

    size: int = Field(gt=0, description="pixels a side; the model sees size x size RGB uint8")
    fit: Literal["crop", "squash", "pad"] = Field(
        default="crop", description="centre crop, both sides stretched, or the whole picture on a grey ground"
    )
    crop: float = Field(default=0.875, gt=0, le=1, description="for fit=crop: the part of the short side that is kept")
    interpolation: Literal["bilinear", "bicubic", "box"] = "bilinear"
    mean: tuple[float, float, float] = Field(default=(0.485, 0.456, 0.406), description="folded into the graph, 0..1 scale")
    std: tuple[float, float, float] = Field(default=(0.229, 0.224, 0.225), description="folded into the graph, 0..1 scale")
    steps: tuple[str, ...] = Field(default=(), description="done on the resized picture, in order: white-balance, sharpen:0.5")
    frames: int | None = Field(default=None, gt=0, description="of a clip that the model sees, evenly spread; None: a picture")


class Score(Record):
    """A measured number with its bootstrap 95 % interval over `n` pictures."""

    value: float
    low: float
    high: float
    n: int


class Unknown(Record):
    """When a picture is flagged as unlike the training set."""

    threshold: float = Field(description="novelty above this is flagged")
    false_alarm_rate: float = Field(description="measured share of known, unseen pictures that are flagged by mistake")
    n: int = Field(description="known pictures the rate was measured on")


class Parity(Record):
    """The certificate that the exported file answers like the trained model, on real validation pictures."""

    pictures: int
    agreement: float = Field(description="share of pictures with the same top label (multilabel: same decisions)")
    largest_difference: float = Field(description="largest absolute difference of any probability")
    largest_shift: float | None = Field(default=None, description="largest move of a box's side, in pixels of the input")
    objects: int | None = Field(default=None, description="of a detector: objects that were compared")


class Certificate(Record):
    """What a compressed model answers beside the model that it was made from, on the same labelled pictures."""

    how: str = Field(description="as `compress --how` names it: prune:0.5+int8:minmax")
    parent: str = Field(description="id of the model that it was made from")
    parent_name: str
    scored_on: Split
    pictures: int
    agreement: float = Field(description="share of pictures with the same top label or decisions (objects: given again)")
    largest_difference: float = Field(description="largest absolute change of any score")
    measure: str = Field(description="the main score: top1, map, map50")
    before: Score
    after: Score
    drop: float = Field(description="before minus after, paired, with its 95 % interval")
    drop_low: float
    drop_high: float
    bytes_before: int
    bytes_after: int
    latency_before_ms: float
    latency_after_ms: float


class Recipe(Record):
    """Everything that decided a training, asked for or derived."""

    size: Size
    way: Way
    why: str = Field(description="one sentence: why this way and this network")
    backbone: str
    weights: str = Field(description="where the starting weights came from: a file's path name, hub:NAME, none")
    seed: int
    minutes: float | None = None
    values: dict[str, Any] = Field(default_factory=dict, description="every derived value: epochs, rates, regularisation, ...")


class Card(Record):
    """A model's passport: `card.json` of its bundle."""

    format: int = BUNDLE_FORMAT
    id: str = Field(description="first 16 hex digits of the SHA-256 of model.onnx")
    name: str
    task: Task
    classes: tuple[str, ...]
    positive: str | None = None
    input: InputSpec
    layout: str = Field(
        default="sightline", description="how the graph answers: our own way, or yolov5, yolov8 of other makers"
    )
    points: tuple[str, ...] = Field(default=(), description="names of an object's keypoints, where the model finds them")
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="several labels, objects: the score from which one is given"
    )
    temperature: float = Field(default=1.0, description="already folded into model.onnx")
    unsure_below: float = Field(default=0.5, description="top score below this is flagged unsure")
    unknown: Unknown | None = None
    recipe: Recipe
    dataset: dict[str, Any] = Field(default_factory=dict, description="name, hash, pictures per split and class")
    scores: dict[str, Score] = Field(default_factory=dict)
    baselines: dict[str, Score] = Field(default_factory=dict, description="top-1 of the majority class and of HOG + linear")
    parity: Parity | None = None
    compressed: Certificate | None = Field(default=None, description="of a model made smaller by `compress`")
    limits: tuple[str, ...] = Field(default=(), description="what the model was not tested for, in plain words")
    licence: str = ""
    sightline: str = ""
    created: str = ""
    files: dict[str, str] = Field(default_factory=dict, description="file name -> SHA-256")


class ErrorInfo(Record):
    code: str
    message: str
    hint: str = ""


class Failure(Record):
    """A picture that could not be used, and why; one bad picture never stops the others."""

    picture: str
    error: ErrorInfo


class Prediction(Record):
    """A model's answer for one picture: an annotation for every class, best first."""

    picture: str
    labels: tuple[Annotation, ...]
    flags: tuple[Flag, ...] = ()
    took_ms: float = 0.0
    model: str = ""
    decision: tuple[str, ...] = Field(default=(), description="the labels given: the best one, or all above their threshold")
    frames: int | None = Field(default=None, description="how many different frames of a clip were used; None: a picture")
    size: tuple[int, int] | None = Field(default=None, description="width and height that the places of objects are in")


class Finding(Record):
    """One thing that is wrong with the data."""

    kind: str
    items: tuple[str, ...]
    message: str
    fix: str = ""
    score: float = 1.0
    severity: Literal["error", "warning", "info"] = "warning"


class Made(Record):
    """How a dataset version or a model came to be."""

    verb: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    sightline: str = ""


JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class Job(Record):
    """A long verb that a worker runs: asked for over REST, polled or streamed, cancelled, taken over after a crash."""

    id: str
    verb: str
    arguments: dict[str, Any]
    state: JobState
    progress: dict[str, Any] | None = Field(default=None, description="the latest event: what, done, total, seconds_left, note")
    result: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    attempts: int = Field(default=0, description="how often a worker began it")
    worker: str = ""
    created: str
    started: str = ""
    ended: str = ""


Item.model_rebuild()
Dataset.model_rebuild()
