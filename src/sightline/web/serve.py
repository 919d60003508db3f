"""serve: answer over HTTP, with a page to try the model. Opens the door; what is behind it is in the files beside this one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import MissingExtraError, NotFoundError, UsageError, missing_extra
from sightline.runtime.engines import TITLES
from sightline.settings import settings

if TYPE_CHECKING:
    from sightline.web.front import Front

log = logging.getLogger("sightline.web")


def serve(
    model: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    pages: bool = True,
    pages_for: str | None = None,
    root: Path | None = None,
    worker: bool = True,
    allow_host: list[str] | None = None,
    queue: int | None = None,
    max_body_mb: float = 25,
    threads: int | None = None,
    grace_s: float = 20,
    open_browser: bool = False,
) -> None:
    """Answer over HTTP, with a page to try the model. Stops at Ctrl-C or SIGTERM, after the requests inside are done.

    Args:
        model: A model's folder, zip or name, or a folder of models; by default the one trained last.
        host: The address to listen on. Any but this machine's own asks for an API key (`sightline keys --new NAME`).
        port: The port to listen on; 0 takes a free one.
        pages: Offer the page at /; without it there is REST alone.
        pages_for: Offer the page alone, for a server at this address, e.g. http://127.0.0.1:8000.
        root: Also offer verbs such as train and predict on files below this folder; the long ones become jobs.
        worker: Run those jobs too; --no-worker leaves them to `sightline worker` processes beside this one.
        allow_host: A further host name to answer to, as behind a proxy; asks for an API key.
        queue: How many requests may be inside at once; by default 9 for each thread.
        max_body_mb: The largest request, in megabytes.
        threads: How many pictures are worked on at once; by default one for each core.
        grace_s: How long requests may take to finish when the server stops, in seconds.
        open_browser: Open the page in a browser.
    """
    _check(model, port, pages, pages_for, root, queue, max_body_mb, threads, grace_s)
    try:
        from sightline.web import server
        from sightline.web.gate import open_gate
        from sightline.web.keys import KeyStore
    except ModuleNotFoundError as error:
        raise missing_part(error) from error

    show_log()
    gate = open_gate(host, allow_host or (), KeyStore(settings().home / "keys.json"))
    listener = server.bind(host, port)
    try:
        bound = listener.getsockname()[1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
        if pages_for is not None:
            from sightline.web.proxy import create_pages_front

            front = create_pages_front(pages_for, gate, max_body=round(max_body_mb * 1e6))
            log.info("the page for %s is at %s (stop with Ctrl-C)", pages_for, url)
        else:
            front = create_front(
                model, gate, pages=pages, root=root, worker=worker, queue=queue, max_body_mb=max_body_mb, threads=threads
            )
            names = ", ".join(served.card.name for served in front.service.models) if front.service else ""
            log.info("serving %s at %s%s (stop with Ctrl-C)", names, url, "" if pages else "/v1/predict")
            if front.service:
                provider = front.service.models[0].model.provider
                log.info("computing with %s, %d threads", TITLES.get(provider, provider), front.service.threads)
        if open_browser:
            open_page(url)
        server.run(front, listener, grace=grace_s)
        log.info("stopped")
    finally:
        listener.close()


def create_front(
    model: str | None,
    gate: object = None,
    *,
    pages: bool = True,
    root: Path | None = None,
    worker: bool = True,
    queue: int | None = None,
    max_body_mb: float = 25,
    threads: int | None = None,
) -> Front:
    """The whole ASGI application, for `serve` and for anyone who runs it under a server of their own. `gate` is a `Gate`."""
    try:
        from sightline.web.api import create_api
        from sightline.web.front import Front
        from sightline.web.gate import Gate
        from sightline.web.service import Service, load_models
    except ModuleNotFoundError as error:
        raise missing_part(error) from error

    keeper = gate if isinstance(gate, Gate) else Gate("127.0.0.1")
    workers = threads or settings().threads
    max_body = round(max_body_mb * 1e6)
    service = Service(load_models(model, workers), workers, queue, max_body)
    desk = None
    if root is not None:
        from sightline.jobs.runner import Crew
        from sightline.store.database import database
        from sightline.web.jobs import Desk

        db = database()
        desk = Desk(db, Crew(db) if worker else None, lambda: service.admission.stopping)
        service.stops.append(desk.stop)
    app = create_api(service, keeper, root, desk)
    if pages:
        from sightline.web.pages import add_pages

        add_pages(app)
    return Front(app, service, keeper, max_body=max_body)


def _check(  # noqa: PLR0917 - serve's own arguments, in its order
    model: str | None,
    port: int,
    pages: bool,
    pages_for: str | None,
    root: Path | None,
    queue: int | None,
    max_body_mb: float,
    threads: int | None,
    grace_s: float,
) -> None:
    for name, value in (("--queue", queue), ("--threads", threads)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}")
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port must be 0 to 65535, got {port}")
    if not 0 < max_body_mb <= 2000:
        raise UsageError(f"--max-body-mb must be above 0 and at most 2000, got {max_body_mb}")
    if not grace_s >= 0:
        raise UsageError(f"--grace-s must be 0 or more, got {grace_s}")
    if root is not None and not root.is_dir():
        raise NotFoundError(f"--root names no folder: {root}")
    if pages_for is not None:
        if model is not None or root is not None or not pages:
            raise UsageError("--pages-for offers the page alone: give no model, no --root and no --no-pages with it")
        if not pages_for.startswith(("http://", "https://")):
            raise UsageError(f"--pages-for must be an address, got {pages_for!r}", hint="e.g. http://127.0.0.1:8000")


def show_log() -> None:
    """Our log and uvicorn's on stderr, one line for each event; nothing when the program around us set a log up already."""
    if logging.getLogger().handlers:
        log.setLevel(logging.INFO)
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    for name, level in (
        ("sightline.web", logging.INFO),
        ("sightline.jobs", logging.INFO),
        ("uvicorn", logging.WARNING),
        ("nicegui", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [handler]
        logger.propagate = False


def open_page(url: str) -> None:
    import threading
    import webbrowser

    timer = threading.Timer(1.0, webbrowser.open, (url,))
    timer.daemon = True
    timer.start()


def missing_part(error: ModuleNotFoundError) -> ModuleNotFoundError | MissingExtraError:
    if (error.name or "").split(".")[0] == "sightline":
        return error
    return missing_extra("studio", "serving")
