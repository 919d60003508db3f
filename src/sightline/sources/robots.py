"""What a site's robots.txt allows us (RFC 9309), and how long to wait between two requests. Fetches nothing.

The standard library's parser knows neither `*` and `$` in paths nor the rule that the longest match wins, so this is our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

AGENT = "sightline"
MAX_BYTES = 512_000  # RFC 9309 section 2.5: at least 500 KiB must be read
MAX_DELAY = 60.0  # seconds; a site that asks for more gets this


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one site for us: (path pattern, allowed) and the seconds between requests (0: nothing was said)."""

    paths: tuple[tuple[str, bool], ...] = ()
    delay: float = 0.0

    def allow(self, target: str) -> bool:
        """Whether path-and-query may be asked: the longest pattern that matches decides, and a tie allows."""
        if target == "/robots.txt":
            return True
        best, allowed = -1, True
        for pattern, permits in self.paths:
            if len(pattern) >= best and _matches(pattern, unquote(target)):
                allowed = permits or (allowed and len(pattern) == best)
                best = len(pattern)
        return allowed


EVERYTHING = Rules()
NOTHING = Rules((("/", False),))


def read_rules(data: bytes) -> Rules:
    """The group for our agent, else the one for `*`; groups of one agent count together. Never fails: nonsense is skipped."""
    ours: list[tuple[str, str]] = []
    all_of: list[tuple[str, str]] = []
    named: set[str] = set()
    mentioned = in_rules = False
    for line in data[:MAX_BYTES].decode("utf-8-sig", errors="replace").splitlines():
        field, colon, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if not colon:
            continue
        if field == "user-agent":
            named = {value.lower()} if in_rules else named | {value.lower()}
            in_rules = False
            mentioned = mentioned or value.lower() == AGENT
        elif field in ("allow", "disallow", "crawl-delay"):
            in_rules = True
            if AGENT in named:
                ours.append((field, value))
            if "*" in named:
                all_of.append((field, value))
    chosen = ours if mentioned else all_of
    paths = tuple((unquote(value), field == "allow") for field, value in chosen if field != "crawl-delay" and value)
    return Rules(paths, max((_seconds(value) for field, value in chosen if field == "crawl-delay"), default=0.0))


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return 0.0
    return min(seconds, MAX_DELAY) if seconds > 0 else 0.0


def _matches(pattern: str, target: str) -> bool:
    """`*` stands for anything, a `$` at the end for the end. Goes once through the text, whatever the pattern."""
    whole = pattern.endswith("$")
    head, *pieces = pattern.removesuffix("$").split("*")
    if not target.startswith(head):
        return False
    at = len(head)
    if not pieces:
        return not whole or at == len(target)
    last = pieces.pop() if whole else ""
    for piece in pieces:
        found = target.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return not whole or (len(target) - len(last) >= at and target.endswith(last))
