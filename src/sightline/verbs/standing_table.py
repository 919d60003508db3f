"""A leaderboard and a cross-validation for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightline.measure.standings import CrossValidation, Leaderboard

if TYPE_CHECKING:
    from rich.console import RenderableType


def leaderboard(board: Leaderboard) -> list[RenderableType]:
    """The recommendation, the table, what it does not say."""
    from rich.table import Table
    from rich.text import Text

    from sightline.measure.leaderboard import caveats, minutes, verdict

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("candidate", no_wrap=True)
    measure = {"top1": "right", "map50": "mAP@.5"}.get(board.measure, "average precision")
    for heading in (measure, "ms", "parameters", "file", "training"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("beside the best", overflow="fold")
    for one in board.entries:
        score = one.score
        share = f"{100 * score.value:.1f} % ({100 * score.low:.0f}-{100 * score.high:.0f})" if score else "-"
        table.add_row(
            Text(one.name, "bold green" if one.name == board.recommended else ""),
            share,
            "-" if one.latency_ms is None else f"{one.latency_ms:.1f}",
            "-" if one.parameters is None else f"{one.parameters / 1e6:.2f} M",
            "-" if one.file_bytes is None else f"{one.file_bytes / 1e6:.1f} MB",
            minutes(one.train_seconds),
            Text(verdict(one, board.best)),
        )
    rows: list[RenderableType] = [Text(board.recommendation, "bold"), Text(), table, Text()]
    rows += [Text(f"- {line}") for line in caveats(board)]
    rows.append(Text(f"leaderboard: {board.page}"))
    return rows


def folds_text(result: CrossValidation) -> str:
    """ "5: 91.2 %, 93.0 %, ... (spread 1.4)"."""
    each = ", ".join(f"{100 * score.value:.1f} %" for score in result.folds)
    return f"{len(result.folds)}: {each} (standard deviation {100 * result.spread:.1f} points)"
