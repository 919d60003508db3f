"""What the textbooks claim, which networks show it, and when it holds. Knows finished runs' numbers, not how they were made.

A claim is judged by the last epoch's accuracy on pictures nobody trained on, the mean over seeds. Differences count from
CLEAR on: about two standard errors of a difference of two accuracies near 80 % on 5,000 pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from sightline.learn.augment import NONE
from sightline.learn.plan import Plan

CLEAR = 0.015  # a difference of accuracies below this is called none
ENOUGH = 0.5  # best accuracy of a claim's networks below which the training was too short to judge by

# He et al. 2015, section 4.2: SGD, rate 0.1, 4 pixels of shift, mirrored. Ours falls along a cosine instead of in two steps.
PAD = replace(NONE, flip=True, shift=0.125)
NORMED = Plan(
    size=32,
    epochs=1,
    batch=128,
    lr=0.1,
    optimiser="sgd",
    weight_decay=1e-4,
    label_smoothing=0.0,
    clip=0.0,
    balance=0.0,
    augment=PAD,
)
# AlexNet and SqueezeNet have no batch norm: a rate of 0.1 breaks them
BARE = Plan(size=32, epochs=1, batch=128, lr=1e-3, weight_decay=0.01, label_smoothing=0.0, balance=0.0, augment=PAD)


@dataclass(frozen=True, slots=True)
class Result:
    """One network of a claim, its seeds averaged: shares in 0..1, curves an entry an epoch."""

    name: str
    parameters: int
    multiply_adds: int
    accuracy: float  # last epoch, unseen pictures
    spread: float  # highest minus lowest of the seeds
    train_accuracy: float  # last epoch, changed training pictures
    train_error: tuple[float, ...]
    val_error: tuple[float, ...]
    seconds: float
    seeds: int
    bytes: int  # weights file, 32-bit floats
    bytes8: int  # weights file, 8-bit weights
    accuracy8: float  # with 8-bit weights


Judged = tuple[str, str]  # "holds", "holds in part", "does not hold" or "too short to tell"; and why, in sentences
Judge = Callable[[Mapping[str, Result]], Judged]


@dataclass(frozen=True, slots=True)
class Claim:
    name: str
    title: str
    says: str  # what the textbook says
    source: str
    test: str  # when we say that it holds
    networks: tuple[str, ...]
    plan: Plan
    judge: Judge
    share: float  # of the minutes for all claims


def _points(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points"


def verdict(conditions: Mapping[str, bool]) -> Judged:
    """Every condition with its outcome; the verdict is how many hold."""
    said = " ".join(f"{'Yes' if holds else 'No'}: {sentence}." for sentence, holds in conditions.items())
    true = sum(conditions.values())
    return ("holds" if true == len(conditions) else "holds in part" if true else "does not hold"), said


def judged(claim: Claim, found: Mapping[str, Result]) -> Judged:
    """Whether the claim holds; nothing is said about networks that have hardly learnt, or when some are missing."""
    missing = [name for name in claim.networks if name not in found]
    if missing:
        return "too short to tell", f"Not trained: {', '.join(missing)}."
    best = max(result.accuracy for result in found.values())
    if best < ENOUGH:
        return "too short to tell", f"The best of these networks is right for {best:.1%}: below {ENOUGH:.0%} nothing is said."
    return claim.judge(found)


def depth(found: Mapping[str, Result]) -> Judged:
    """Plain stacks degrade in training error, residual ones do not, and at the greatest depth the residual one is better."""
    plain, residual = ([found[f"{kind}{n}"] for n in DEPTHS] for kind in ("plain", "resnet"))
    best = max(plain[:-1], key=lambda one: one.train_accuracy)
    loss = best.train_accuracy - plain[-1].train_accuracy
    gain = residual[-1].accuracy - max(one.accuracy for one in residual[:-1])
    ahead = residual[-1].accuracy - plain[-1].accuracy
    return verdict(
        {
            f"{plain[-1].name} has {_points(loss)} {'more' if loss > 0 else 'less'} training error than {best.name}, "
            "the best of the shallower plain ones": loss > CLEAR,
            f"{residual[-1].name} is {_points(gain)} {'better' if gain > 0 else 'worse'} on unseen pictures than the best "
            "of the shallower residual ones": gain > -CLEAR,
            f"{residual[-1].name} is {_points(ahead)} {'better' if ahead > 0 else 'worse'} than {plain[-1].name}": ahead
            > CLEAR,
        }
    )


def inception(found: Mapping[str, Result]) -> Judged:
    vgg, small = found["vgg16_bn"], found["googlenet:0.5"]
    times, behind = vgg.parameters / small.parameters, vgg.accuracy - small.accuracy
    return verdict(
        {
            f"{vgg.name} has {times:.1f} times the parameters of {small.name}": times >= 8,
            f"{small.name} is {_points(behind)} {'behind' if behind > 0 else 'ahead'}": behind < CLEAR,
        }
    )


def squeeze(found: Mapping[str, Result]) -> Judged:
    alex, small = found["alexnet"], found["squeezenet1_0"]
    times, behind = alex.parameters / small.parameters, alex.accuracy - small.accuracy
    return verdict(
        {
            f"{alex.name} has {times:.0f} times the parameters of {small.name} ({alex.bytes / small.bytes:.0f} times the "
            f"bytes; {alex.bytes / small.bytes8:.0f} times those of {small.name} with 8-bit weights)": times >= 50,
            f"{small.name} is {_points(behind)} {'behind' if behind > 0 else 'ahead'}": behind < 2 * CLEAR,
        }
    )


def width(found: Mapping[str, Result]) -> Judged:
    """Accuracy falls with the width, without a jump that no saving pays."""
    rows = [found[name] for name in MOBILES]  # from narrow to wide
    steps = [wide.accuracy - narrow.accuracy for narrow, wide in pairwise(rows)]
    whole = rows[-1].accuracy - rows[0].accuracy
    cheaper = rows[-1].multiply_adds / rows[0].multiply_adds
    return verdict(
        {
            f"from the widest to the narrowest {_points(whole)} are {'lost' if whole > 0 else 'won'} for {cheaper:.1f} times "
            "fewer multiply-adds": whole > CLEAR,
            f"no step to a wider network loses more than {_points(CLEAR)} (worst {100 * min(steps):+.1f})": min(steps) > -CLEAR,
        }
    )


DEPTHS = (8, 14, 20, 32, 44)
MOBILES = ("mobilenet_v2:0.25", "mobilenet_v2:0.35", "mobilenet_v2:0.5", "mobilenet_v2:0.75", "mobilenet_v2")
CLAIMS: tuple[Claim, ...] = (
    Claim(
        "residual",
        "Deeper plain networks stop improving, residual ones do not",
        "Stacking more layers makes a plain network worse, in training error too, so it is not overfitting; with short cuts "
        "the deeper network is the better one.",
        "He et al. 2015, arXiv 1512.03385, section 4.2 and figure 6: CIFAR-10, 6n + 2 layers, widths 16, 32, 64",
        "the deepest plain stack has clearly more training error than a shallower one; the deepest residual stack is not "
        "clearly worse than shallower ones and clearly better than the plain one",
        tuple(f"{kind}{n}" for kind in ("plain", "resnet") for n in DEPTHS),
        NORMED,
        depth,
        0.4,
    ),
    Claim(
        "inception",
        "Inception matches VGG with about a tenth of its parameters",
        "Branches of small convolutions with 1 x 1 bottlenecks get by with a fraction of the weights of a uniform stack.",
        "Szegedy et al. 2014, arXiv 1409.4842, against Simonyan and Zisserman 2014, arXiv 1409.1556 "
        "(6.6 M and 138 M at 224 px)",
        "at least 8 times fewer parameters, and not clearly behind. At 32 px VGG-16 goes without its hidden layers (15 M "
        "weights); GoogLeNet with half of its channels has a tenth of that",
        ("vgg16_bn", "googlenet:0.5"),
        replace(NORMED, lr=0.02),  # with 0.1 VGG-16 had not begun to learn after 5 epochs (25.1 %), GoogLeNet had (59.5 %)
        inception,
        0.15,
    ),
    Claim(
        "squeezenet",
        "SqueezeNet is at least 50 times smaller than AlexNet at similar accuracy",
        "AlexNet's accuracy with 50 times fewer parameters; more with compressed weights, which are counted apart here.",
        "Iandola et al. 2016, arXiv 1602.07360; AlexNet: Krizhevsky et al. 2012, as torchvision has it (arXiv 1404.5997)",
        "at least 50 times fewer parameters with the same 32-bit weights, and at most 3 points behind",
        ("alexnet", "squeezenet1_0"),
        BARE,
        squeeze,
        0.2,
    ),
    Claim(
        "mobilenet",
        "A MobileNet's width trades accuracy for cost smoothly",
        "Multiplying all channels by one number gives a family of networks along a smooth curve of accuracy over cost.",
        "Howard et al. 2017, arXiv 1704.04861, table 6; Sandler et al. 2018, arXiv 1801.04381, figure 5",
        "the narrowest is clearly less accurate than the widest, and no step to a wider one loses clearly",
        MOBILES,
        NORMED,
        width,
        0.25,
    ),
)
