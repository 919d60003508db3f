"""The page of an architecture search: who found what, accuracy against parameters and latency, every training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sightline.measure import plots
from sightline.measure.bootstrap import wilson
from sightline.measure.markup import bullets, cell, figure, percent, table, words
from sightline.measure.report import Section, page
from sightline.measure.report_data import ReportData
from sightline.measure.searched import Found, Search, Strategy, Tried

TITLES: dict[Strategy, str] = {"random": "random search", "tpe": "TPE", "evolution": "regularised evolution"}
TONES: dict[Strategy, int] = {"random": 1, "tpe": 0, "evolution": 0}


def search_page(search: Search, title: str) -> str:
    """The whole page as text."""
    sections: list[Section] = [
        ("short", "In short", lambda _: _short(search)),
        ("best", "The best of each strategy", lambda _: _best(search)),
        ("plots", "Accuracy against cost", lambda _: _plots(search)),
        ("all", "All trainings", lambda _: _all(search)),
    ]
    return page(ReportData(title=title, created=search.created), sections)


def work(search: Search) -> str:
    """ "16 candidates for 2 epochs, 8 for 4, 4 for 8"."""
    first, *rest = search.rungs
    said = f"{first[0]} candidates for {first[1]} epochs"
    return ", ".join([said, *(f"{count} for {epochs}" for count, epochs in rest)])


def caveats(search: Search) -> list[str]:
    """What the numbers do not say."""
    each = "each strategy trained " if len(search.found) > 1 else "it trained "
    said = [
        f"{each[:1].upper()}{each[1:]}{work(search)}, on {search.pictures:,} pictures; {search.judges:,} others, set apart "
        "from the training pictures, decided. The validation pictures took no part in the search",
        "After so few epochs networks that learn quickly look best; the one taken was then trained on everything, for longer",
    ]
    if len(search.found) > 1:
        said.append("One search with one seed: another seed can turn a small difference round")
    failed = sum(one.state == "failed" for one in search.tried)
    if failed:
        said.append(f"{failed} trainings broke down and count as 0")
    return said


def _short(search: Search) -> str:
    budget = f" within {words(search.budget)}" if search.budget else ""
    html = f'<div class="hero"><p class="big">Taken: <strong>{words(search.best)}</strong>{budget}</p>'
    said = search.conclusion
    return f'{html}<p class="sure">{words(said[:1].upper() + said[1:])}.</p>{bullets(caveats(search))}</div>'


def _best(search: Search) -> str:
    heads = [("strategy", ""), ("network", ""), ("unseen pictures", "num"), ("95 %", "num"), ("epochs", "num")]
    heads += [("parameters", "num"), ("file", "num"), ("ms", "num"), ("multiply-adds", "num"), ("trainings", "num")]
    rows = [
        [
            words(TITLES[one.strategy]),
            f"<code>{words(one.cell)}</code>",
            cell(percent(one.unseen.value), one.unseen.value),
            f"{100 * one.unseen.low:.1f} to {100 * one.unseen.high:.1f}",
            str(one.epochs),
            *costs(one),
            cell(f"{one.multiply_adds / 1e6:.1f} M", one.multiply_adds),
            str(one.trainings),
        ]
        for one in search.found
    ]
    note = '<p class="note">Scores of the search\'s own short trainings, equally long for all strategies.</p>'
    return note + table(heads, rows, caption="The best of each strategy")


def costs(one: Found | Tried) -> list[str]:
    """Cells: parameters, file size, latency."""
    return [
        cell(f"{one.parameters:,}", one.parameters),
        cell(f"{one.file_bytes / 1e6:.2f} MB", one.file_bytes),
        cell(f"{one.latency_ms:.2f}", one.latency_ms),
    ]


def _plots(search: Search) -> str:
    axes: tuple[tuple[str, Callable[[Tried], float]], ...] = (
        ("thousand parameters", lambda one: one.parameters / 1000),
        ("milliseconds for one picture", lambda one: one.latency_ms),
    )
    epochs = search.rungs[0][1]
    said = (
        f"Up and to the left is better. A dot is a candidate after {epochs} epochs, all alike; its line is the 95 % interval; "
        "the dashed line joins those that no other beats in both ways. Orange: random search; blue: the "
        "clever one. The named ones are the best in the end."
    )
    return "".join(figure(drawing(search, name, value), said) for name, value in axes)


def drawing(search: Search, axis: str, value: Callable[[Tried], float]) -> str:
    """Every candidate of the first rung over one of its costs, as SVG."""
    first = [one for one in search.tried if one.rung == 0 and one.state == "finished"]
    if not first:
        return ""
    named = {(one.strategy, one.cell): f"best of {TITLES[one.strategy]}" for one in search.found}
    spots = [_mark(search, one, value(one), named.get((one.strategy, one.cell), "")) for one in first]
    low, high = min(one.low for one in spots), max(one.high for one in spots)
    room = max(0.02, 0.08 * (high - low))
    frame = plots.Frame(
        f"accuracy against {axis}",
        axis,
        "share right in %" if search.measure == "top1" else "average precision in %",
        (min(one.x for one in spots) / 1.4, max(one.x for one in spots) * 1.4),
        (max(0.0, low - room), min(1.0, high + room)),
        percent=True,
        log_x=True,
    )
    return plots.marks(frame, spots)


def _mark(search: Search, one: Tried, x: float, name: str) -> plots.Mark:
    low, high = wilson(one.score, search.judges) if search.measure == "top1" else (one.score, one.score)
    return plots.Mark(max(x, 1e-3), one.score, low, high, name, TONES[one.strategy])


def _all(search: Search) -> str:
    heads = [("network", ""), ("strategy", ""), ("rung", "num"), ("epochs", "num"), ("right", "num")]
    heads += [("parameters", "num"), ("file", "num"), ("ms", "num"), ("training", "num")]
    ordered: Sequence[Tried] = sorted(search.tried, key=lambda one: (-one.rung, -one.score))
    rows = [
        [
            f"<code>{words(one.cell)}</code>",
            words(TITLES[one.strategy]),
            str(one.rung + 1),
            str(one.epochs),
            cell(percent(one.score), one.score) if one.state == "finished" else f"<small>{words(one.why)}</small>",
            *costs(one),
            cell(f"{one.seconds:.0f} s", one.seconds),
        ]
        for one in ordered
    ]
    return table(heads, rows, caption=f"All {len(rows)} trainings")
