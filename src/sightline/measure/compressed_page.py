"""The page of a compression: what was taken and its certificate, score against file and time, every candidate, every class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sightline.measure import plots
from sightline.measure.compressed import Candidate, Compression, front, size
from sightline.measure.markup import bullets, cell, facts, figure, percent, table, words
from sightline.measure.report import Section, page
from sightline.measure.report_data import ReportData

NAMES = {"top1": "share right", "map50": "mAP@.5"}
WORST = 30  # classes shown


def compressed_page(result: Compression, title: str) -> str:
    """The whole page as text."""
    sections: list[Section] = [
        ("short", "In short", lambda _: _short(result)),
        ("certificate", "Certificate", lambda _: _certificate(result)),
        ("front", "Score against cost", lambda _: _plots(result)),
        ("all", "Everything that was tried", lambda _: _all(result)),
        ("classes", "What each class loses", lambda _: _classes(result)),
    ]
    return page(ReportData(title=title, created=result.created), sections)


def taken_of(result: Compression) -> Candidate | None:
    return next((one for one in result.candidates if one.how == result.how), None)


def unsure(result: Compression) -> str:
    """Said where the pictures are too few to show that no more than the limit is lost; empty otherwise."""
    one, most = taken_of(result), result.limits.drop
    if one is None or most is None or one.drop_high <= most:
        return ""
    return (
        f"{result.pictures:,} pictures cannot show that at most {100 * most:g} points are lost: it may be up to "
        f"{100 * one.drop_high:.1f} (95 % sure); more labelled pictures would tell"
    )


def caveats(result: Compression) -> list[str]:
    """What the numbers do not say."""
    said = [f"Candidates are measured on the same {result.pictures:,} validation pictures, one by one, and on this machine"]
    if result.certificate and result.certificate.scored_on == "val" and len(result.candidates) > 1:
        said.append(
            "The choice was made on the pictures that the certificate is about, which flatters it a little; a test/ folder, "
            "which no choice looks at, gives the plain number"
        )
    if unproven := unsure(result):
        said.append(unproven)
    if any("sparse" in one.how or one.how.startswith("clustered") for one in result.candidates):
        said.append(
            "Zeros and clusters make the packed file smaller, not the model faster: ONNX Runtime computes with them all"
        )
    failed = [one for one in result.candidates if one.state == "failed"]
    said += [f"{one.how} could not be made: {one.why}" + (f" ({one.hint})" if one.hint else "") for one in failed]
    return said


def _short(result: Compression) -> str:
    one, was = taken_of(result), result.before
    if one is None:
        html = f'<div class="hero"><p class="big">Nothing tried here has {words(result.limits.text)}</p>'
        return f"{html}{bullets(caveats(result))}</div>"
    html = f'<div class="hero"><p class="big">Taken: <strong>{words(one.how)}</strong></p>'
    times = was.latency_ms / one.latency_ms if one.latency_ms else 0.0
    said = (
        f"{size(was.bytes)} became {size(one.bytes)} ({one.bytes / was.bytes:.2f} of it), {was.latency_ms:.2f} ms became "
        f"{one.latency_ms:.2f} ms ({times:.1f}x), {100 * one.drop:.1f} points lost (95 % sure: {100 * one.drop_low:.1f} to "
        f"{100 * one.drop_high:.1f})"
    )
    return f'{html}<p class="sure">{words(said)}; {words(result.why)}.</p>{bullets(caveats(result))}</div>'


def _certificate(result: Compression) -> str:
    given = result.certificate
    if given is None:
        return ""
    name = NAMES.get(result.measure, "average precision")
    kind = "test" if given.scored_on == "test" else "validation"
    return facts(
        [
            ("pictures compared", f"{given.pictures:,} {kind} pictures"),
            ("same answer as before", percent(given.agreement)),
            ("largest change of any score", f"{given.largest_difference:.3f}"),
            (
                f"{name} before",
                f"{percent(given.before.value)} ({100 * given.before.low:.1f} to {100 * given.before.high:.1f})",
            ),
            (f"{name} after", f"{percent(given.after.value)} ({100 * given.after.low:.1f} to {100 * given.after.high:.1f})"),
            ("points lost", f"{100 * given.drop:.1f} ({100 * given.drop_low:.1f} to {100 * given.drop_high:.1f})"),
            *([("pictures that int8's ranges came from", f"{result.calibrated_on:,}")] if result.calibrated_on else []),
        ]
    )


def _plots(result: Compression) -> str:
    axes: tuple[tuple[str, Callable[[Candidate], float]], ...] = (
        ("kilobytes of model.onnx", lambda one: one.bytes / 1e3),
        ("milliseconds for one picture", lambda one: one.latency_ms),
    )
    said = (
        "Up and to the left is better. A dot is a candidate, its line the 95 % interval of its score; the dashed line joins "
        "those that no other beats in both ways. Blue: taken; green: the model as it was."
    )
    return "".join(figure(_drawing(result, name, value), said) for name, value in axes)


def _drawing(result: Compression, axis: str, value: Callable[[Candidate], float]) -> str:
    done = [result.before, *(one for one in result.candidates if one.state == "finished")]
    scores = [one.scores[result.measure] for one in done]
    low, high = min(one.low for one in scores), max(one.high for one in scores)
    room = max(0.02, 0.08 * (high - low))
    spots = [max(value(one), 1e-3) for one in done]
    frame = plots.Frame(
        f"score against {axis}",
        axis,
        f"{NAMES.get(result.measure, 'average precision')} in %",
        (min(spots) / 1.5, max(spots) * 1.5),
        (max(0.0, low - room), min(1.0, high + room)),
        percent=True,
        log_x=True,
    )
    tones = [0 if one.how == result.how else 3 if one is result.before else 1 for one in done]
    marks = [
        plots.Mark(x, score.value, score.low, score.high, one.how, tone)
        for one, x, score, tone in zip(done, spots, scores, tones, strict=True)
    ]
    return plots.marks(frame, marks)


def _all(result: Compression) -> str:
    name = NAMES.get(result.measure, "average precision")
    heads = [("way", ""), ("file", "num"), ("packed", "num"), ("ms", "num"), ("p95 ms", "num"), ("pictures/s", "num")]
    heads += [("memory", "num"), ("input", "num"), (name, "num"), ("lost", "num"), ("95 %", "num"), ("same answer", "num")]
    best = set(front((result.before, *result.candidates), result.measure))
    note = (
        '<p class="note">In bold: nothing else is smaller, faster and better at once. Packed: the file as a download. '
        "ms: one thread, one prepared picture, median; pictures/s: all threads. Lost: points of the score, paired.</p>"
    )
    rows = [_row(result, one, best) for one in (result.before, *result.candidates)]
    return note + table(heads, rows, caption="Candidates")


def _row(result: Compression, one: Candidate, best: set[str]) -> list[str]:
    name = words(one.how + (" (taken)" if one.how == result.how else ""))
    if one.state == "failed":
        return [name, f"<small>{words(one.why)}</small>", *[""] * 10]
    score = one.scores[result.measure]
    return [
        f"<strong>{name}</strong>" if one.how in best else name,
        cell(size(one.bytes), one.bytes),
        cell(size(one.download_bytes), one.download_bytes),
        cell(f"{one.latency_ms:.2f}", one.latency_ms),
        cell(f"{one.latency_p95_ms:.2f}", one.latency_p95_ms),
        cell(f"{one.per_second:.0f}", one.per_second),
        cell(f"{one.peak_mb:.0f} MB", one.peak_mb),
        cell(f"{one.input_size} px", one.input_size),
        cell(percent(score.value), score.value),
        cell(f"{100 * one.drop:.1f}", one.drop),
        f"{100 * one.drop_low:.1f} to {100 * one.drop_high:.1f}",
        cell(percent(one.agreement), one.agreement),
    ]


def _classes(result: Compression) -> str:
    one = taken_of(result)
    if one is None or not one.class_drops:
        return ""
    worst: Sequence[tuple[str, float]] = sorted(one.class_drops.items(), key=lambda pair: -pair[1])[:WORST]
    what = "AP@.5" if result.measure == "map50" else "share of its pictures that are found"
    rows = [[words(name), cell(f"{100 * lost:+.1f}", lost)] for name, lost in worst]
    note = f'<p class="note">Points lost of each class\'s {what}; below zero: won. The most first, {len(worst)} of '
    note += f"{len(one.class_drops)} classes.</p>"
    return note + table([("class", ""), ("points lost", "num")], rows, caption="Classes")
