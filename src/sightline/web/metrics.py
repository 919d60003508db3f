"""What the server counts, for Prometheus: requests, refusals, times of decoding and inference, pictures flagged unknown.

One registry for each server, so that two in one process do not mix. Holds no names of pictures and no keys.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._requests = Counter("sightline_requests", "Requests answered", ("route", "status"), registry=registry)
        self._seconds = Histogram(
            "sightline_request_seconds",
            "From the first byte of a request to its answer",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.decode = Histogram("sightline_decode_seconds", "Decoding one picture", buckets=_SECONDS, registry=registry)
        self.infer = Histogram("sightline_inference_seconds", "The model on one picture", buckets=_SECONDS, registry=registry)
        self.pictures = Counter("sightline_pictures", "Pictures answered", registry=registry)
        self.failures = Counter("sightline_picture_failures", "Pictures that could not be used", ("code",), registry=registry)
        self.unknown = Counter("sightline_pictures_unknown", "Pictures flagged unlike the training set", registry=registry)
        self.unsure = Counter("sightline_pictures_unsure", "Pictures flagged unsure", registry=registry)
        self._rejected = Counter("sightline_rejected", "Requests turned away", ("reason",), registry=registry)
        self._inside = Gauge("sightline_queue_depth", "Requests admitted and not answered yet", registry=registry)
        self._children: dict[tuple[str, int], Counter] = {}
        self._routes: dict[str, Histogram] = {}
        for reason in ("overloaded", "unavailable"):
            self._rejected.labels(reason)  # shown as 0 from the start

    def watch_queue(self, depth: Callable[[], float]) -> None:
        self._inside.set_function(depth)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answer. `route` is one of ours, never a client's text."""
        child = self._children.get((route, status))
        if child is None:
            child = self._children[route, status] = self._requests.labels(route, status)
            self._routes.setdefault(route, self._seconds.labels(route))
        child.inc()
        self._routes[route].observe(seconds)
        if status in (429, 503):
            self._rejected.labels("overloaded" if status == 429 else "unavailable").inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
