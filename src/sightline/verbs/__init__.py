"""The verbs are the product: one typed function in one file each. This table is the only list of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Verb(NamedTuple):
    """Where a verb lives, its one-line help, and whether REST offers it (`--root` given)."""

    module: str
    help: str
    rest: bool = False
    long: bool = False  # over REST it becomes a job
    # over REST every text argument must be a path below the root, but for
    words: tuple[str, ...] = ()  # those that are no paths,
    names: tuple[str, ...] = ()  # those that may be the name of a dataset in the workspace (in a job),
    places: tuple[str, ...] = ()  # those that may be an http or https address;
    withheld: tuple[str, ...] = ()  # and arguments that only the owner of the machine may give
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()  # headings of the help, with their options; the others come first
    command: str = ""  # where the command line's function lives, when that one can do more than the verb


_MOST = ("max_parameters", "max_size", "max_latency")
VERBS: dict[str, Verb] = {
    "collect": Verb(
        "sightline.verbs.collect",
        "Bring pictures together from anywhere, into a dataset or a folder.",
        rest=True,
        long=True,
        words=("format", "label", "group", "licence", "author", "origin", "blur"),
        names=("into",),
        places=("source",),
        withheld=("allow_private", "eps", "rate"),
        command="sightline.cli.collect",
    ),
    "train": Verb(
        "sightline.verbs.train",
        "Make a recogniser from labelled pictures.",
        rest=True,
        long=True,
        words=(
            "backbone",
            "features",
            "classifier",
            "prepare",
            "augment",
            "compare",
            *_MOST,
            "plan",
            "log",
        ),
        names=("data", "val"),
        groups=(
            ("What a picture goes through", ("prepare", "denoiser", "fit", "input_size")),
            ("How a network learns", ("backbone", "augment", "balance", "plan", "teacher", "log")),
            ("Other ways", ("features", "classifier", "cell", "frames", "pretrain")),
            ("One of many", ("compare", "effort", "keep", "folds", "tune", "search", "trials", *_MOST)),
        ),
    ),
    "clean": Verb(
        "sightline.verbs.clean",
        "Say what is wrong with pictures and labels; mend a copy.",
        rest=True,
        long=True,
        words=("into", "format", "drop"),
        names=("data",),
    ),
    "augment": Verb(
        "sightline.verbs.augment",
        "See what changes do to pictures; write varied copies, balance classes.",
        rest=True,
        long=True,
        words=("recipe", "format"),
        names=("data",),
    ),
    "evaluate": Verb("sightline.verbs.evaluate", "Measure a model on labelled pictures it has not seen.", rest=True),
    "compress": Verb(
        "sightline.verbs.compress",
        "Make a model smaller and faster, and prove that it answers the same.",
        rest=True,
        long=True,
        words=("model", "how", "max_size", "max_latency", "max_drop"),
        names=("data", "val"),
        groups=(
            ("What it may cost", ("max_size", "max_latency", "max_drop")),
            ("How it is made", ("how", "minutes", "epochs", "calibrate", "seed")),
        ),
    ),
    "predict": Verb(
        "sightline.verbs.predict",
        "Say what is in pictures.",
        rest=True,
        words=("tiles",),
        groups=(("Objects, videos", ("threshold", "tiles", "save_pictures", "track")),),
        command="sightline.cli.predict",
    ),
    "export": Verb("sightline.verbs.export", "Write a model for phones, boards, browsers; proved to answer alike."),
    "bench": Verb("sightline.verbs.bench", "Measure how fast a model answers on this machine, and on what."),
    "serve": Verb("sightline.web.serve", "Answer over HTTP, with a page to try the model."),
    "worker": Verb("sightline.jobs.worker", "Run the long jobs that a server takes in, beside it."),
    "data": Verb("sightline.verbs.data", "See, compare, divide, export and name the datasets of the workspace."),
    "models": Verb("sightline.verbs.models", "See and name the models trained on this machine."),
    "keys": Verb("sightline.web.keys", "List, make and revoke API keys for a server on the network."),
    "demo": Verb("sightline.cli.demo", "Draw road signs, train on them, show the result: no downloads."),
    "doctor": Verb("sightline.verbs.doctor", "Say what is installed and what will be used."),
}


def verb(name: str) -> Callable[..., Any]:
    """The function behind a verb's name."""
    return getattr(importlib.import_module(VERBS[name].module), name)  # type: ignore[no-any-return]


def command(name: str) -> Callable[..., Any]:
    """The function that the command line runs for a verb: mostly the verb itself."""
    return getattr(importlib.import_module(VERBS[name].command or VERBS[name].module), name)  # type: ignore[no-any-return]


def show(name: str) -> Callable[[Any], Any]:
    """The function that renders a verb's result for people (a rich renderable), from the same file."""
    return importlib.import_module(VERBS[name].module).show  # type: ignore[no-any-return]
