"""train: from labelled pictures to a model bundle with its passport and report."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sightline.errors import DataError, UsageError
from sightline.settings import settings
from sightline.types import Size
from sightline.verbs import goal, resolve
from sightline.verbs.material import Work, material
from sightline.verbs.trained import TrainResult, store

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.learn.fit import TrainRequest


def train(
    data: Path,
    /,
    *,
    val: Path | None = None,
    out: Path | None = None,
    size: Size = "small",
    minutes: float | None = None,
    seed: int = 0,
    way: Literal[
        "auto", "probe", "fine-tune", "scratch", "classic", "clip", "dbn", "autoencoder", "detect", "segment"
    ] = "auto",
    backbone: str | None = None,
    features: str | None = None,
    classifier: str | None = None,
    cell: Literal["gru", "lstm"] | None = None,
    frames: int | None = None,
    input_size: int | None = None,
    prepare: str = "",
    pretrain: str | None = None,
    denoiser: str | None = None,
    fit: Literal["crop", "squash", "pad"] | None = None,
    augment: str | None = None,
    balance: Literal["auto", "none", "weights", "sampler", "sampler-full", "focal"] = "auto",
    plan: str | None = None,
    teacher: str | None = None,
    log: str | None = None,
    compare: str | None = None,
    effort: Literal["quick", "thorough"] | None = None,
    keep: bool = False,
    folds: int | None = None,
    search: Literal["random", "tpe", "evolution"] | None = None,
    tune: bool = False,
    trials: int | None = None,
    max_parameters: str | None = None,
    max_size: str | None = None,
    max_latency: str | None = None,
    precision: float | None = None,
    replace: bool = False,
) -> TrainResult:
    """Make a recogniser from labelled pictures. Run again after a stop, it goes on where it was.

    Args:
        data: A folder with a folder of pictures for each class; or train/ and val/ of these, a folder with a CSV, with boxes
            (Pascal VOC, COCO, YOLO and others), a zip or tar; or the name or hash of a dataset in the workspace.
        val: Labelled pictures to validate on; by default a part of the data that shares no look-alikes with the rest.
        out: Folder for the model and its report; by default one of the data's name in SIGHTLINE_HOME/models.
        size: How large a network may be: small answers 400 pictures a second on two cores, large is slower and better.
        minutes: Time to spend; without it, as long as the way needs.
        seed: Of everything that is random; the same seed gives the same model.
        way: probe (a head on frozen features: seconds), fine-tune, scratch; auto chooses from data, hardware and time.
            classic: no network at all, but --features and --classifier. clip: short videos, or folders of frames, as a whole.
            dbn, autoencoder: layers that learn without labels first, a deep belief network or a denoising autoencoder.
            detect: what is where, which is what auto means where the data have boxes. segment: a class for every pixel,
            from outlines or masks.
        backbone: A network by name, instead of the one the size means: see `sightline models zoo`; or any name of timm's.
            A detector: yolo-tiny, yolo-small, yolo-small:resnet18, ssdlite, faster-rcnn-mobilenet, ...
        cell: What remembers while a clip goes by: gru or lstm; the average of the frames is always tried beside it.
        frames: How many frames of a clip are looked at, evenly spread; 16 without it.
        input_size: Pixels a side that the network sees, 32 or more; by default what its weights were trained with, else 64.
        features: What a classic recogniser looks at: hog, colour, texture, sift, surf; where things move about hog:vlad,
            sift:vlad, surf:vlad.
        classifier: Who decides about them: svm, svm-rbf, logistic, sgd, bayes, tree, forest, knn, mlp.
        prepare: What is done to every picture before the model sees it, now and later: white-balance, equalise, denoise,
            sharpen:0.5, brightness:1.2, contrast:1.2, grey; several with commas, in this order.
        pretrain: A folder of pictures without labels that dbn and autoencoder learn from first, beside the training pictures.
        denoiser: A model of way autoencoder, by path or name, that takes noise away in front of the network, now and later.
        fit: How a picture becomes square: the middle cut out, both sides stretched, or the whole picture on a grey ground.
        augment: How pictures change while a network learns: none, light, medium, strong, or flip,rotate:15,erase:0.2.
        balance: Small classes beside large ones: weights (their pictures count more), sampler (they are drawn more often),
            sampler-full (so often that all classes come alike), focal (what is hard counts more); auto weighs where classes
            differ much.
        plan: Values of a network's training by name, such as lr=0.003,epochs=20,batch=64,ema=0.999.
        teacher: A model whose answers the network learns from, beside the labels: its path or name. It must know the classes.
        log: Who is told of every epoch, in SIGHTLINE_HOME/logs: tensorboard, mlflow, or both between commas.
        compare: Candidates between commas, trained on the same split within --minutes: WAY, WAY:NETWORK, WAY:SIZE or a network:
            probe:small,fine-tune,scratch:resnet18,classic:hog+svm. The one to take becomes the model.
        effort: Candidates picked from data, weights at hand and hardware: quick or thorough.
        keep: Keep the other candidates, too, in OUT/candidates.
        folds: Cross-validate: so many models, each scored on the part of the pictures that it has not seen; then the final one.
        search: Look for a network of your own, from scratch, within --minutes: tpe, evolution; random search gets as many
            trainings and stands beside it. random: that alone.
        tune: Search for better values of the training, within --minutes (20 without it) or --trials: regularisation, rates,
            changes of the pictures. The first trial is the default; the best one on the validation pictures is the model.
        trials: With --tune trainings at most, with --search candidates of each strategy; there as many as the minutes allow,
            up to 16, without it.
        max_parameters: The most that a searched network may have, such as 200k.
        max_size: The most that its file may have, such as 1MB.
        max_latency: The longest that it may take for a picture on one thread of this machine, measured, such as 5ms.
        precision: For a detector: of what it gives, the share that shall be right, such as 0.95; by default each class is given
            from the score where finding and being right balance best (F1).
        replace: Replace the model that lies in OUT already.
    """
    from sightline.learn.fit import TrainRequest
    from sightline.learn.layerwise.names import layered
    from sightline.runtime.bundle import set_latest
    from sightline.verbs import beside, clip_training, detecting, searching

    begun = time.perf_counter()
    data, val, out = Path(data), val and Path(val), out and Path(out)  # who calls from Python may give texts
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes must be above 0, got {minutes:g}")
    objects = detecting.places(way, backbone, compare, {"features": features, "classifier": classifier, "cell": cell})
    _known(None if objects else backbone, input_size, seed)
    asked: dict[str, Any] = {
        "size": size,
        "minutes": minutes,
        "seed": seed,
        "way": "detect" if objects and way == "auto" else way,
    }
    asked |= {"backbone": backbone}
    asked |= {"input_size": input_size, "fit": fit, "balance": balance, **_changes(prepare, augment, plan)}
    asked |= _classic(asked, features, classifier)
    asked |= clip_training.wishes(data, way, cell, frames) | layered(
        way, pretrain=pretrain, denoiser=denoiser, backbone=backbone, input_size=input_size
    )
    request = TrainRequest(**asked)
    bench = {"compare": compare, "effort": effort, "keep": keep, "folds": folds}
    bench |= {"tune": tune, **searching.wishes(search, trials, max_parameters, max_size, max_latency)}
    bench = {name: value for name, value in bench.items() if value is not None and value is not False}
    wishes = {**asked, **bench, "pretrain": pretrain, "denoiser": denoiser, "teacher": teacher, "precision": precision}
    wishes |= {"cell": cell, "frames": frames, "prepare": prepare}
    detecting.check(wishes, objects)
    _bench_allowed(request, bench, objects=bool(objects))
    company = beside.company(request, bench, teacher, log)
    bench |= company.key
    if request.way == "clip":
        clip_training.check(asked, {**bench, "teacher": teacher, "log": log})
        dataset, seen, findings, parents = clip_training.read(data, val, seed)
    else:
        dataset, seen, findings, parents = material(data, val, seed, whole=objects is False)
        if objects or dataset.task == "detection":
            request = detecting.request_for(request, dataset, wishes)
        elif precision is not None:
            raise UsageError("--precision chooses a detector's thresholds, and these data have no boxes")
    run = settings().home / "runs" / goal.key_of(dataset, {**asked, **bench})
    left = goal.left_by(run, out, dataset)
    target, replace = (left, True) if left else (goal.target_for(out, goal.name_for(data, dataset), replace=replace), replace)
    request = beside.joined(request, company, target.name)
    work = Work(dataset, seen, findings, run, target.name, precision)
    how = _How(target, bench, minutes, trials, precision, replace)
    result = _made(work, request, how)
    set_latest(target)
    resolve.remember(dataset, target, {**asked, **bench, "data": str(data), "val": str(val) if val else None}, parents)
    shutil.rmtree(run, ignore_errors=True)
    return result.model_copy(update={"seconds": round(time.perf_counter() - begun, 1)})


@dataclass(frozen=True, slots=True)
class _How:
    """Where the model goes and by which bench it is made."""

    target: Path
    bench: dict[str, Any]
    minutes: float | None
    trials: int | None
    precision: float | None
    replace: bool


def _made(work: Work, request: TrainRequest, how: _How) -> TrainResult:
    """The one model, or that of a comparison, a tuning or a search, as `how.target`."""
    from sightline.learn.fit import fit
    from sightline.verbs import comparing, detecting, folding, searching, tuning

    bench, target, run = how.bench, how.target, work.folder
    if "compare" in bench or "effort" in bench:
        if request.way == "detect":
            who = detecting.contenders(bench["compare"], request)
        else:
            count = len(work.dataset.part("train"))
            who = comparing.contenders(bench.get("compare"), bench.get("effort"), request, count)
        decision = comparing.decided(work, who, how.minutes)
        goal.aimed(run, target)
        return comparing.kept(work, decision, target, keep="keep" in bench, again=how.replace)
    if "tune" in bench:
        return tuning.tuned(work, request, target, trials=how.trials, goal=run / goal.GOAL, again=how.replace)
    if "search" in bench:
        return searching.made(work, request, bench, target, goal=run / goal.GOAL, again=how.replace)
    if request.way == "detect":
        found = detecting.learn(work.dataset, request, run, salvage=True)
        goal.aimed(run, target)
        result = detecting.store(target, work, found, replace=how.replace, precision=how.precision).result
        _refuse_broken(found.broken, target, run)
        return result
    if request.way == "segment":
        from sightline.verbs import segmenting

        found = segmenting.learn(work.dataset, request, run)
        goal.aimed(run, target)
        result = segmenting.store(target, work, found, replace=how.replace)
        _refuse_broken(found.broken, target, run)
        return result
    folds = bench.get("folds")
    validated = folding.cross_validated(work.dataset, work.seen, request, run, folds) if folds else None
    trained = fit(work.dataset, folding.share(request, folds) if folds else request, run, salvage=True)
    goal.aimed(run, target)
    result, _ = store(target, work.dataset, work.seen, trained, work.findings, replace=how.replace, validated=validated)
    _refuse_broken(trained.broken, target, run)
    return result


def _refuse_broken(error: DataError | None, target: Path, run: Path) -> None:
    """DataError where the training broke down: its best weights are a model now, so the run's folder goes."""
    if error is None:
        return
    shutil.rmtree(run, ignore_errors=True)
    what = error.message.partition(";")[0]
    detail = {**error.detail, "model": str(target)}
    raise DataError(f"{what}; the best weights until then are the model in {target}", hint=error.hint, detail=detail)


def _bench_allowed(request: TrainRequest, bench: dict[str, Any], *, objects: bool) -> None:
    """Refuse what does not go together, and candidates that nobody knows, before any picture is read."""
    from sightline.learn import candidates, crossval
    from sightline.verbs import searching, tuning

    tuning.allowed(request, bench)
    searching.allowed(request, bench)
    if bench.get("folds") is not None:
        crossval.check(bench["folds"])
    compares = [f"--{name}" for name in ("compare", "effort") if name in bench]
    if len(compares) > 1:
        raise UsageError("--compare names the candidates, --effort picks them: give one of the two")
    if compares and "folds" in bench:
        raise UsageError(
            f"{compares[0]} and --folds do not go together", hint="compare first, then cross-validate the one to take"
        )
    if compares and (request.way != "auto" or request.backbone) and not objects:
        raise UsageError(
            f"with {compares[0]} each candidate names its own way and network",
            hint="such as --compare probe,fine-tune:resnet18",
        )
    if "keep" in bench and not compares:
        raise UsageError(
            "--keep keeps the candidates of a comparison, and there is none", hint="give --compare or --effort, too"
        )
    if "compare" in bench and not objects:
        candidates.candidates(bench["compare"], request)


def _known(backbone: str | None, input_size: int | None, seed: int) -> None:
    """Refuse a network that nobody knows and a size that none takes, before any picture is read."""
    from sightline.learn.zoo.names import LEAST, check

    if seed < 0:
        raise UsageError(f"--seed must be 0 or more, got {seed}")
    if input_size is not None and input_size < LEAST:
        raise UsageError(
            f"networks need pictures of at least {LEAST} px, got {input_size}", hint=f"give --input-size {LEAST} or more"
        )
    if backbone is not None:
        check(backbone)


def _changes(prepare: str, augment: str | None, plan: str | None) -> dict[str, Any]:
    """What is done to pictures and in training, checked before any picture is read; UsageError."""
    from sightline.learn.recipes import read_recipe
    from sightline.learn.values import read_values
    from sightline.runtime.adjust import read_steps

    changes = None if augment is None else read_recipe(augment).text
    return {"steps": read_steps(prepare), "augment": changes, "values": () if plan is None else read_values(plan)}


def _classic(asked: dict[str, Any], features: str | None, classifier: str | None) -> dict[str, Any]:
    """The classic way's own wishes, with their names checked; asking for one of them is asking for the way. UsageError."""
    if asked["way"] != "classic" and features is None and classifier is None:
        return {}
    from sightline.learn.classic.way import wish

    if asked["way"] not in ("auto", "classic"):
        raise UsageError(f"--features and --classifier belong to --way classic, not {asked['way']}", hint="leave out --way")
    for option in ("backbone", "augment"):
        if asked[option] is not None:
            raise UsageError(f"--{option} is for networks: the classic way has none", hint=f"leave out --{option}")
    if asked["values"]:
        raise UsageError("--plan is for networks: the classic way has none", hint="leave out --plan")
    if asked["balance"] != "auto":
        raise UsageError("--balance is for networks: the classic way has none", hint="leave out --balance")
    named = wish(features, classifier)
    return {"way": "classic", "features": named.features, "classifier": named.classifier}


def show(result: TrainResult) -> RenderableType:
    """The one table: how good, beside what, how it was made, what to do next."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from sightline.verbs.standing_table import folds_text
    from sightline.verbs.wording import headline, main_score, score_text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    main = main_score(result.scores)
    for name, score in result.scores.items():
        table.add_row(name, score_text(name, score))
    for name, score in result.baselines.items():
        table.add_row(f"{main} of {name}", score_text(main, score))
    if result.false_unknown_rate is not None:
        table.add_row("known flagged unknown", f"{result.false_unknown_rate:.1%}")
    table.add_row("network", Text(f"{result.backbone}, weights: {result.weights}"))
    table.add_row("way", Text(f"{result.way}: {result.why}"))
    table.add_row("trained on", Text(f"dataset {result.dataset}"))
    table.add_row("time", f"{result.seconds:.0f} s")
    table.add_row("model", Text(result.model))
    table.add_row("report", Text(result.report))
    what = "test pictures" if result.scored_on == "test" else "validation pictures"
    if result.cross_validation:
        table.add_row("folds", Text(folds_text(result.cross_validation)))
        what = "pictures, each by a model that has not seen it"
    rows: list[RenderableType] = [Text(headline(result.scores, what), style="bold"), Text(), table, Text()]
    if result.tuning:
        from sightline.verbs.tuning import lines as tuning_lines

        rows = [*tuning_lines(result.tuning), Text(), *rows]
    if result.search:
        from sightline.verbs.searching import table as search_table

        rows = [*search_table(result.search), Text(), *rows]
    if result.leaderboard:
        from sightline.verbs.standing_table import leaderboard

        rows = [*leaderboard(result.leaderboard), Text(), *rows]
    rows += [Text(f"- {line}") for line in result.advice]
    if result.cross_validation:
        rows.append(Text(f"- {result.cross_validation.about}"))
    if result.failures:
        first = result.failures[0]
        what = "boxes or pictures" if any("box" in one.error.code for one in result.failures) else "pictures"
        rows.append(
            Text(f"{len(result.failures)} {what} left out, the first: {first.picture}: {first.error.message}", "yellow")
        )
    rows.append(Text(f"next: sightline predict PICTURE --model {result.model}"))
    return Group(*rows)
