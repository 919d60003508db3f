"""Sections of a report about the answers: headline, classes, mix-ups, mistakes, trust, scores. ReportData in, HTML out.

Written for people who know their pictures, not machine learning. "" where there is nothing to show. Knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sightline.measure import plots
from sightline.measure.markup import bullets, cell, count, figure, interval, of_hundred, percent, picture, table, tail, words
from sightline.measure.report_data import ReportData
from sightline.measure.scores import Scores
from sightline.types import Score

HEAT_MAP_UP_TO = 40  # classes; above, the list of confusions says more
BESIDE_UP_TO = 16  # classes of a heat map that fits beside the list
CONFUSIONS = 12
MISTAKES = 48
LONG_TABLE = 25  # rows from which a table scrolls by itself

# score -> (what people call it, what it says)
SCORE_WORDS: Mapping[str, tuple[str, str]] = {
    "top1": ("right answers", "share of pictures whose best answer is the truth"),
    "top5": ("truth among the five best", "share of pictures whose truth is among the five best answers"),
    "macro_f1": ("mean F1 of the classes", "balance of finding and being right, every class counting the same"),
    "micro_f1": ("F1 of all labels", "balance of finding and being right, every label counting the same"),
    "balanced_accuracy": ("mean recall of the classes", "right answers, every class counting the same"),
    "subset_accuracy": ("every label right", "share of pictures with exactly the true labels"),
    "map": ("mean average precision", "how well each label's scores sort its pictures to the top, 100 % is perfect"),
    "log_loss": ("log loss", "what a confident wrong answer costs; 0 is perfect, smaller is better"),
    "ece": ("calibration error", "mean distance between how sure the model was and how often it was right, in 15 groups"),
    "precision": ("precision", "of the pictures given the positive class, the share that have it"),
    "recall": ("recall", "of the pictures of the positive class, the share that are found"),
    "f1": ("F1", "balance of precision and recall of the positive class"),
    "auc": ("area under the ROC curve", "chance that a picture of the one class scores above one of the other"),
}
BASELINE_WORDS: Mapping[str, str] = {
    "majority class": "always the most frequent class",
    "HOG + linear": "a classic method (HOG + linear)",
}
_PLAIN_NUMBERS = {"log_loss"}


def headline(data: ReportData) -> str:
    """The top of the page: one number in words, how sure it is, and what simpler ways reach."""
    scores = data.scores
    if scores is None:
        return ""
    main = scores.overall.get("top1") or scores.overall.get("subset_accuracy")
    if main is None:
        return ""
    what = "Every label right on" if scores.task == "multilabel" else "Right on"
    big = f'<p class="big">{what} <strong>{of_hundred(main.value)}</strong> of 100 new pictures</p>'
    tested = words(data.tested_on or f"{scores.n:,} pictures")
    sure = f"95 % sure: {interval(main)}. Measured on {tested} that the training has not seen."
    return f'<div class="hero">{big}<p class="sure">{sure}</p>{_aside(scores)}{_compared(data, main)}</div>'


def _aside(scores: Scores) -> str:
    """The two sides of the positive class, or of several labels: found, and right when named."""
    if scores.positive is not None:
        one = scores.classes[scores.positive]
        name, found, right = words(scores.positive), one.recall.value, one.precision.value
        return (
            f"<p>Of 100 pictures of <b>{name}</b> it finds {of_hundred(found)}; of 100 that it calls {name}, "
            f"{of_hundred(right)} are.</p>"
        )
    if scores.task != "multilabel":
        return ""
    right = sum(one.recall.value * one.support for one in scores.classes.values())
    there = sum(one.support for one in scores.classes.values())
    given = sum(one.precision.n for one in scores.classes.values())
    if not there or not given:
        return ""
    share, good = of_hundred(right / there), of_hundred(right / given)
    return f"<p>Of 100 labels that are there it finds {share}; of 100 that it gives, {good} are right.</p>"


def _compared(data: ReportData, main: Score) -> str:
    """This model's bar above those of simpler ways; with several labels all by mean average precision."""
    baselines = data.baselines or (data.card.baselines if data.card else {})
    if not baselines:
        return f'<div class="versus">{plots.bar(main.value, main.low, main.high, kind="this")}</div>'
    called, what = dict(BASELINE_WORDS), "Right answers out of 100"
    if data.scores is not None and data.scores.task == "multilabel":
        main = data.scores.overall.get("map", main)
        called["majority class"] = "labels by how frequent they are"
        what = "Mean average precision, of 100: how well the scores sort the right pictures to the top"
    rows = [("this model", main, "this")]
    rows += [(called.get(name, name), score, "other") for name, score in baselines.items()]
    lines = [
        f'<div class="versus"><span>{words(name)}</span><b>{of_hundred(score.value)}</b>'
        f"{plots.bar(score.value, score.low, score.high, kind=kind)}</div>"
        for name, score, kind in rows
    ]
    where = "" if data.baselines else " The other ways were measured on the validation pictures of the training."
    return "".join(lines) + f'<p class="note">{what}. The thin line in each bar is the 95 % interval.{where}</p>'


def in_short(data: ReportData) -> str:
    """What it means: the diagnosis, then warnings that change what the number is worth."""
    sentences = list(data.diagnosis)
    errors = [finding for finding in data.findings if finding.severity == "error"]
    warnings = [finding for finding in data.findings if finding.severity == "warning"]
    if data.pairs:
        sentences.append(
            f"{count(len(data.pairs), 'tested picture looks', 'tested pictures look')} like a training picture: "
            "the scores are better than the truth. See below."
        )
    if errors or warnings:
        sentences.append(
            f"The health check of the data found {count(len(errors), 'error', 'errors')} and "
            f"{count(len(warnings), 'warning', 'warnings')}. See below."
        )
    return bullets(sentences) if sentences else ""


def per_class(data: ReportData) -> str:
    """A row for each class, weakest first."""
    if data.scores is None:
        return ""
    rows = []
    for name, one in sorted(data.scores.classes.items(), key=lambda pair: (pair[1].f1.value, pair[0])):
        found = one.recall
        bar = plots.bar(found.value, found.low, found.high, kind=_grade(found.value)) if one.support else ""
        shown = f"{of_hundred(found.value)} ({interval(found)})" if one.support else "none tested"
        rows.append(
            (
                words(name, 60),
                cell(f"{one.support:,}", one.support),
                cell(f"{bar}<small>{shown}</small>", found.value),
                cell(of_hundred(one.precision.value) if one.precision.n else "never named", one.precision.value),
                cell(f"{100 * one.f1.value:.0f}", one.f1.value),
                cell(f"{100 * one.average_precision:.0f}", one.average_precision) if one.average_precision is not None else "",
            )
        )
    heads = (
        ("class", ""),
        ("pictures", "num"),
        ("found, of 100", "wide"),
        ("right when named, of 100", "num"),
        ("F1", "num"),
        ("AP", "num"),
    )
    note = (
        "Weakest class first. “Found” is the recall with its 95 % interval, “right when named” the precision; F1 balances "
        "both, AP says how well the scores sort this class's pictures to the top."
    )
    kind = "sortable long" if len(rows) > LONG_TABLE else "sortable"
    return f'<p class="note">{note}</p>' + table(heads, rows, caption="Scores of each class", kind=kind)


def confusions(data: ReportData) -> str:
    """Which classes are taken for which: a list of the most frequent, and the whole table as a heat map."""
    scores = data.scores
    if scores is None or scores.confusion is None:
        return ""
    counts, names = scores.confusion, list(scores.classes)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    rows = []
    for flat in order:
        truth, answer = divmod(int(flat), len(names))
        count = int(wrong[truth, answer])
        if count == 0:
            break
        share = count / int(counts[truth].sum())
        said = f"{words(names[truth], 40)} <span class='note'>taken for</span> {words(names[answer], 40)}"
        rows.append((said, f"{count:,}", percent(share)))
    if not rows:
        return "<p>No picture was taken for another class.</p>"
    heads = (("mix-up", ""), ("times", "num"), ("of the true class", "num"))
    html = f"<div>{table(heads, rows, caption='Most frequent mix-ups')}</div>"
    if len(names) <= HEAT_MAP_UP_TO:
        drawing = plots.heat_map(counts, names, "Confusion matrix: rows are the truth, columns the answers")
        html += figure(
            drawing,
            "Each row shows what became of one class's pictures: on the diagonal right answers, beside it mix-ups. The "
            "stronger the colour, the larger the share of the row.",
        )
    return f'<div class="pair">{html}</div>' if len(names) <= BESIDE_UP_TO else html


def mistakes(data: ReportData) -> str:
    """Wrong answers with their pictures, the most confident first: often it is the label that is wrong."""
    cards = []
    for mistake in sorted(data.mistakes, key=lambda one: -one.score)[:MISTAKES]:
        cards.append(
            f"<li>{picture(mistake.picture, f'{mistake.name}: {mistake.truth} answered as {mistake.answer}')}"
            f"<p>truth <b>{words(mistake.truth, 60)}</b><br>answer <b class='bad'>{words(mistake.answer, 60)}</b> "
            f"{percent(mistake.score)} sure</p>"
            f"<p class='name' title='{words(mistake.name)}'>{words(tail(mistake.name))}</p></li>"
        )
    if not cards:
        return ""
    note = "The most confident wrong answers first. Look at the truth too: a wrong label looks exactly like this."
    return f'<p class="note">{note}</p><ul class="gallery">{"".join(cards)}</ul>'


def trust(data: ReportData) -> str:
    """Whether scores mean what they say, and what happens with pictures of another kind."""
    parts = []
    if data.reliability:
        ece = data.scores.overall.get("ece") if data.scores else None
        far = f" Here they differ by {100 * ece.value:.1f} points on average." if ece else ""
        groups = [(group.confidence, group.accuracy, group.n) for group in data.reliability]
        parts.append(
            figure(
                plots.reliability(groups, "Reliability: confidence against share of right answers"),
                "Each point is a group of equally many answers: across, how sure the model was; up, how often it was right. On "
                f"the diagonal both agree; below it the model is too sure of itself.{far}",
                "Does “90 % sure” mean 90 % right?",
            )
        )
    unknown = data.unknown or (data.card.unknown if data.card else None)
    unsure = data.card.unsure_below if data.card and data.card.task != "multilabel" else None
    said = []
    if unknown is not None:
        said.append(
            "A picture unlike the training pictures is flagged unknown. Of 100 pictures of the right kind "
            f"{of_hundred(unknown.false_alarm_rate)} are flagged by mistake (measured on {unknown.n:,} new ones)."
        )
        said.append(
            "“Unknown” means another kind of picture. A new class that looks like the known ones is mostly not noticed: it is "
            "answered as the nearest class."
        )
    if unsure is not None:
        said.append(f"An answer with a score below {100 * unsure:.0f} % is flagged unsure.")
    if said:
        parts.append(f"<div class='said'><h3>When it says “I don't know”</h3>{bullets(said)}</div>")
    return f'<div class="pair">{"".join(parts)}</div>' if parts else ""


def all_scores(data: ReportData) -> str:
    """Every score with its interval, on new pictures and on the training pictures."""
    if data.scores is None:
        return ""
    train = data.train_scores or {}
    rows = []
    for name, score in data.scores.overall.items():
        called, said = SCORE_WORDS.get(name, (name, ""))
        row = [f"{words(called)}<br><small>{words(said)}</small>", _value(name, score), _range(name, score)]
        if train:
            row.append(_value(name, train[name]) if name in train else "")
        rows.append(row)
    heads = [("score", ""), ("new pictures", "num"), ("95 % interval", "num")] + (
        [("training pictures", "num")] if train else []
    )
    return table(heads, rows, caption="All scores", kind="spaced")


def _value(name: str, score: Score) -> str:
    return f"{score.value:.3f}" if name in _PLAIN_NUMBERS else percent(score.value)


def _range(name: str, score: Score) -> str:
    if name in _PLAIN_NUMBERS:
        return f"{score.low:.3f} to {score.high:.3f}"
    return f"{percent(score.low)} to {percent(score.high)}"


def _grade(value: float) -> str:
    return "good" if value >= 0.8 else "fair" if value >= 0.6 else "poor"
