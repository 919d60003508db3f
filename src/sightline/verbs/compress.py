"""compress: a smaller, faster model that is proven to answer the same, with the price of every step beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import DataError, UsageError
from sightline.measure.compressed import DROP, Candidate, Compression, Limits, choose, excess, front, nearest, read_limits, size
from sightline.settings import settings
from sightline.shrink.how import How, read_how
from sightline.verbs import compressing, goal, resolve
from sightline.verbs.compressing import Work

if TYPE_CHECKING:
    from rich.console import RenderableType

CALIBRATE = 256  # pictures
LEAST = 16  # of them
FILES = "fp16,weights8,int8:minmax,int8:entropy,int8:percentile,weights4,clustered"  # what needs no training
PRUNINGS = 3  # at most, on the way to limits that no coding reaches
SHARES = (0.05, 0.9)  # of the multiply-adds that pruning on the way to limits leaves
WIDTHS = (0.1, 0.95)  # of the narrower network beside it
REPORT, RECORD = "compression.html", "compression.json"


def compress(
    model: str,
    data: Path,
    /,
    *,
    val: Path | None = None,
    out: Path | None = None,
    how: str | None = None,
    max_size: str | None = None,
    max_latency: str | None = None,
    max_drop: str | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    calibrate: int = CALIBRATE,
    seed: int | None = None,
    replace: bool = False,
) -> Compression:
    """Make a model smaller and faster, and say what every step costs. Run again after a stop, it goes on where it was.

    Args:
        model: The model's folder, zip or name.
        data: The labelled pictures that it was trained on, or others of the same kind. Ranges come from the training part,
            candidates are measured on the validation part; the one taken is certified on the test part, where there is one.
        val: Labelled pictures to measure on; by default a part of the data, the same that the training set aside.
        out: Folder for the smaller model and the report; by default one of the model's name in SIGHTLINE_HOME/models.
        how: Ways between commas, their steps joined by +: int8 (or int8:minmax, int8:entropy, int8:percentile, int8:mixed),
            fp16, weights8, weights4, clustered; and those that train: prune:0.5 (of the multiply-adds stay), width:0.5,
            input:160 (pixels), qat (for int8), sparse:0.8 (of the weights are 0). Such as int8,prune:0.5+int8.
            Without it every coding is tried, and trainings where the limits need them.
        max_size: The most that the model's file may have, such as 2MB.
        max_latency: The longest that it may take for a picture on one thread of this machine, measured, such as 10ms.
        max_drop: The most that its main score may lose, in points, such as 1%; 1% without any limit.
        minutes: Time for each step that trains; by default as many epochs as it needs.
        epochs: Epochs of each step that trains, instead.
        calibrate: Training pictures that the ranges of int8 come from; they are chosen to differ.
        seed: Of everything that is random; by default the model's own, so that the data are divided as they were.
        replace: Replace the model that lies in OUT already.
    """
    from sightline.runtime.bundle import read_bundle

    begun = time.perf_counter()
    limits = read_limits(max_size, max_latency, max_drop)
    ways = read_how(how) if how is not None else ()
    _check(minutes, epochs, calibrate)
    bundle = read_bundle(resolve.model(model))
    _refuse(bundle.card.compressed is not None, bundle.card.name)
    target = goal.target_for(out and Path(out), f"{bundle.card.name}-small", replace=replace)
    seed = bundle.card.recipe.seed if seed is None else seed
    material = compressing.material_for(bundle, Path(data), val and Path(val), seed)
    asked = {"model": bundle.card.id, "seed": seed, "minutes": minutes, "epochs": epochs}
    passport = bundle.card.model_dump(mode="json", exclude={"name", "created", "scores", "baselines", "sightline"})
    folder = settings().home / "compressions" / goal.key_of(material.dataset, {**asked, "passport": passport})
    work = Work(bundle, material, folder, seed, calibrate, minutes, epochs)
    was = compressing.before(work)
    tried = list(_listed(work, ways) if ways else _searched(work, limits))
    result = _decided(work, was, tried, limits)
    result = result.model_copy(update={"seconds": round(time.perf_counter() - begun, 1), "report": str(target / REPORT)})
    taken = next(one for one in tried if one.how == result.how)
    given, scores = compressing.certified(work, was, taken, result.measure)
    result = result.model_copy(update={"chosen": str(target), "certificate": given})
    compressing.store(taken, given, scores, target, _beside(result, target.name), replace=replace)
    resolve.remember(
        material.dataset, target, {**asked, "calibrate": calibrate, "how": taken.how, "data": str(data)}, material.parents
    )
    return result


def _check(minutes: float | None, epochs: int | None, calibrate: int) -> None:
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes must be above 0, got {minutes:g}")
    if epochs is not None and epochs < 1:
        raise UsageError(f"--epochs must be 1 or more, got {epochs}")
    if calibrate < LEAST:
        raise UsageError(f"--calibrate must be {LEAST} pictures or more, got {calibrate}", hint="256 are usual")


def _refuse(compressed: bool, name: str) -> None:
    if compressed:
        raise UsageError(
            f"{name} is a compressed model already", hint="compress the model that it was made from, its passport names it"
        )


def _listed(work: Work, ways: tuple[How, ...]) -> Iterator[Candidate]:
    for way in ways:
        yield compressing.attempt(work, way)


def _searched(work: Work, limits: Limits) -> Iterator[Candidate]:
    """Every coding; then, while nothing fits, what the limits need: the sensitive layers in float, trainings."""
    files = list(_listed(work, read_how(FILES)))
    yield from files
    wanted = limits if limits.drop is not None else limits.model_copy(update={"drop": DROP})  # small but wrong is no end yet
    if any(one.state == "finished" and excess(one, wanted) == 0 for one in files):
        return
    done = [one for one in files if one.state == "finished"]
    small = [one for one in done if one.how.startswith("int8")] or done
    if not small:
        return
    best = min(small, key=lambda one: (one.drop, one.latency_ms))
    if excess(best, wanted.model_copy(update={"drop": None})) == 0:  # small and quick enough, but it lost too much
        for text in ("int8:mixed", f"qat+{best.how}") if best.how.startswith("int8") else ():
            one = compressing.attempt(work, read_how(text)[0])
            yield one
            if one.state == "finished" and excess(one, wanted) == 0:
                return
        return
    yield from _narrowed(work, best, wanted)


def _narrowed(work: Work, best: Candidate, limits: Limits) -> Iterator[Candidate]:
    """Prunings towards the limits, each aimed by what the one before it came to; then a narrower network beside them."""
    goal_share = _room(best, limits)
    share = round(min(max(0.95 * goal_share, SHARES[0]), SHARES[1]), 2)
    tried, least = [], SHARES[0]
    for _ in range(PRUNINGS):
        one = compressing.attempt(work, read_how(f"prune:{share:.3g}+{best.how}")[0])
        yield one
        if one.state == "failed":
            if one.smallest is None or not share < one.smallest < SHARES[1]:
                break
            share = least = one.smallest
            continue
        tried.append(one)
        room = _room(one, limits)
        if room >= 1 and (room < 1.1 or share >= SHARES[1]):
            break
        aimed = round(min(max(0.97 * share * room, least), SHARES[1]), 2)
        if room < 1:
            aimed = max(min(aimed, round(share - 0.01, 2)), least)
        if aimed == share or (room >= 1 and abs(aimed - share) < 0.02):
            break
        share = aimed
    factor = round(min(max(math.sqrt(goal_share), WIDTHS[0]), WIDTHS[1]), 2)
    one = compressing.attempt(work, read_how(f"width:{factor:g}+{best.how}")[0])
    yield one
    room = _room(one, limits) if one.state == "finished" else 1.0
    narrower = round(max(0.98 * factor * math.sqrt(room), WIDTHS[0]), 2)
    if room < 1 and narrower < factor and not any(excess(other, limits) == 0 for other in tried):
        yield compressing.attempt(work, read_how(f"width:{narrower:g}+{best.how}")[0])


def _room(one: Candidate, limits: Limits) -> float:
    """How many times larger or slower it could be; below 1: it must shrink to that share."""
    rooms = [limits.bytes / one.bytes] if limits.bytes is not None else []
    rooms += [limits.latency_ms / one.latency_ms] if limits.latency_ms is not None else []
    return min(rooms, default=1.0)


def _decided(work: Work, was: Candidate, tried: list[Candidate], limits: Limits) -> Compression:
    """Which one to take and why; DataError where nothing fits what was asked for."""
    from sightline.verbs.wording import main_score

    done = [one for one in tried if one.state == "finished"]
    if not done:
        raise DataError(f"no way to make it smaller worked; {tried[0].how}: {tried[0].why}", hint=tried[0].hint)
    measure = main_score(was.scores)
    free = limits == Limits()
    wanted = Limits(drop=DROP) if free else limits
    taken = choose(done, wanted, measure)
    why = f"the best with {wanted.text}"
    if wanted.bytes is None and wanted.latency_ms is None:
        why = f"the least file times time with {wanted.text}"
    if taken and wanted.drop is None and taken.drop > DROP:
        why = f"{why}; give --max-drop where {100 * taken.drop:.1f} points are too many"
    if taken is None and free:
        taken, why = nearest(done, wanted), f"none loses at most {100 * DROP:g} points; this one loses least"
    result = Compression(
        chosen="",
        how=taken.how if taken else "",
        why=why if taken else "",
        report="",
        before=was,
        candidates=tuple(one.model_copy(update={"fits": excess(one, wanted) == 0}) for one in tried),
        limits=wanted,
        measure=measure,
        pictures=len(work.items),
        calibrated_on=max((one.calibrated_on for one in done), default=0),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if taken is None:
        _nothing_fits(work, result, done)
    return result


def _nothing_fits(work: Work, result: Compression, done: list[Candidate]) -> None:
    """DataError that names the nearest and what it costs; the report of everything tried is kept."""
    one = nearest(done, result.limits)
    place = work.folder / "nothing-fits"
    told = result.model_copy(update={"report": str(place / REPORT)})
    compressing.kept(place, _beside(told, work.bundle.card.name))
    costs = f"{size(one.bytes)}, {one.latency_ms:.2g} ms, {100 * one.drop:.1f} points lost" if one else ""
    raise DataError(
        f"no way gives {result.limits.text}; the nearest is {one.how if one else 'none'} ({costs})",
        hint=f"give it more room, such as {_relaxed(one, result.limits)}; what was tried is kept: {place / REPORT}",
        detail=told.model_dump(mode="json"),
    )


def _relaxed(one: Candidate | None, limits: Limits) -> str:
    """Options with which the nearest would fit."""
    if one is None:
        return "other limits"
    said = []
    if limits.bytes is not None:
        said.append(f"--max-size {math.ceil(max(one.bytes, limits.bytes) / 1e4) / 100:g}MB")
    if limits.latency_ms is not None:
        said.append(f"--max-latency {math.ceil(10 * max(one.latency_ms, limits.latency_ms)) / 10:g}ms")
    if limits.drop is not None:
        said.append(f"--max-drop {math.ceil(1000 * max(one.drop, limits.drop)) / 10:g}%")
    return " ".join(said)


def _beside(result: Compression, name: str) -> dict[str, bytes]:
    from sightline.measure.compressed_page import compressed_page

    page = compressed_page(result, f"{name}, made smaller")
    return {REPORT: page.encode(), RECORD: (result.model_dump_json(indent=1) + "\n").encode()}


def show(result: Compression) -> RenderableType:
    """What was taken and what it costs, then every candidate."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from sightline.measure.compressed_page import unsure

    was, taken = result.before, next(one for one in result.candidates if one.how == result.how)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("way", no_wrap=True)
    for heading in ("file", "packed", "ms", "pictures/s", "MB", result.measure, "lost", "same answer"):
        table.add_column(heading, justify="right", no_wrap=True)
    on_front = set(front((was, *result.candidates), result.measure))
    for one in (was, *sorted(result.candidates, key=lambda one: (one.state, one.bytes))):
        if one.state == "failed":
            table.add_row(Text(one.how, "dim"), Text("failed", "dim"))
            continue
        table.add_row(
            Text(one.how + (" *" if one.how in on_front else ""), "bold green" if one is taken else ""),
            size(one.bytes),
            size(one.download_bytes),
            f"{one.latency_ms:.2f}",
            f"{one.per_second:.0f}",
            f"{one.peak_mb:.0f}",
            f"{100 * one.scores[result.measure].value:.1f} %",
            "" if one is was else f"{100 * one.drop:.1f} ({100 * one.drop_low:.1f} to {100 * one.drop_high:.1f})",
            "" if one is was else f"{100 * one.agreement:.1f} %",
        )
    said = (
        f"{taken.how}: {size(was.bytes)} to {size(taken.bytes)}, {was.latency_ms:.2f} to {taken.latency_ms:.2f} ms, "
        f"{100 * taken.drop:.1f} points lost on {result.pictures} pictures"
    )
    failed = [one for one in result.candidates if one.state == "failed"]
    return Group(
        Text(said, "bold"),
        Text(f"taken: {result.why}"),
        *([Text(unproven, "yellow")] if (unproven := unsure(result)) else []),
        Text(),
        table,
        *(Text(f"{one.how}: {one.why}" + (f"; {one.hint}" if one.hint else ""), "dim") for one in failed),
        Text("* nothing else here is smaller, faster and better at once; lost: points, with the 95 % interval", "dim"),
        Text(f"report  {result.report}"),
        Text(f"next: sightline predict PICTURE --model {result.chosen}"),
    )
