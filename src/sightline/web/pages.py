"""The pages: an ordered list of small functions, mounted behind the REST routes. Knows NiceGUI, not pictures.

Whatever follows the mouse or holds users' text is a plain ES module in `static/`, which speaks to the REST routes; so a page
works the same in a process of its own, and nothing a user wrote ever becomes HTML.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Match, Mount
from starlette.types import Scope

if TYPE_CHECKING:
    from nicegui.element import Element

_FAVICON = Path(__file__).parent / "static" / "favicon.svg"


def add_pages(app: FastAPI) -> None:
    """Mount the pages into `app`, after its own routes. One application in a process can have them (NiceGUI's rule)."""
    from nicegui import core, ui

    for path, title, build in PAGES:
        ui.page(path, title=title)(build)
    ui.run_with(
        app,
        title="Sightline",
        favicon=_FAVICON,
        dark=None,  # as the system says
        tailwind=False,
        gzip_middleware_factory=None,  # pages are rewritten on their way (sweep.py)
        show_welcome_message=False,
        reconnect_timeout=10,
    )
    app.router.routes[-1] = _Pages("/", app=core.app)  # in place of NiceGUI's mount, which answers to every address


class _Pages(Mount):
    """Matches the pages and their parts, so that every other address gets its 404 or 405 from the REST routes."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope["path"]
        if path.startswith("/_nicegui") or path == "/favicon.ico" or any(path == page for page, *_ in PAGES):
            return super().matches(scope)
        return Match.NONE, {}


def _try_page() -> None:
    """Drop, paste or take a picture; see what the model says."""
    _component("recognise")


def _component(module: str) -> Element:
    """A place in the page where `static/MODULE.js` builds itself."""
    from nicegui import ui
    from nicegui.element import Element

    class Mount(Element, component="static/mount.js"):
        """The Vue component that loads an ES module of ours."""

    ui.add_head_html('<link rel="stylesheet" href="/static/sightline.css">')
    element = Mount()
    element.props["module"] = module
    return element


PAGES: list[tuple[str, str, Callable[[], None]]] = [
    ("/", "Sightline", _try_page),
]
