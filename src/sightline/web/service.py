"""What a server does with pictures, without HTTP: the loaded models, the worker threads, the guard, the queue.

One ONNX Runtime session for each model, shared by as many threads as there are cores. JPEG and PNG are decoded in the thread;
every other format in the guard's own process, which has a queue of its own, so that slow formats do not hold up the others.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ModelNotFoundError, OverloadError, SightlineError, UsageError
from sightline.runtime import pixels, tasks
from sightline.runtime.bundle import CARD, find_bundle, latest
from sightline.runtime.model import Model, Recogniser, load
from sightline.types import InputSpec
from sightline.web import wire
from sightline.web.admission import Admission
from sightline.web.intake import Intake, Upload
from sightline.web.metrics import Metrics

if TYPE_CHECKING:
    from sightline.runtime.guard import Guard

T = TypeVar("T")
Pixels = NDArray[np.uint8]

IN_THREAD = frozenset({"jpeg", "png"})
GUARD_QUEUE = 8  # pictures of other formats that may wait


class Served:
    """A model, where it came from, and the writer of its answers."""

    def __init__(self, model: Recogniser, path: str = "") -> None:
        self.model, self.path = model, path
        self.card = model.card
        self.writer = wire.Writer(model.card)

    @property
    def whole(self) -> Model | None:
        """The model when it answers for whole pictures; None when it finds objects."""
        return self.model if isinstance(self.model, Model) else None

    def at(self, threshold: float) -> Served:
        """The same, giving objects from this score on; UsageError for a model that finds none."""
        from sightline.runtime.detector import Detector

        if not isinstance(self.model, Detector):
            raise UsageError(
                f"a threshold is for models that find objects, and {self.card.name[:80]} answers for whole pictures",
                hint="leave out threshold",
            )
        return Served(self.model.at(threshold), self.path)


class Service:
    def __init__(self, models: Sequence[Served], threads: int, queue: int | None = None, max_body: int = 25_000_000) -> None:
        """The first of `models` answers when none is named. `queue`: how many requests may be inside (default 9 x threads)."""
        self.models = list(models)
        self.threads = threads
        # the short limit keeps each thread busy with one request waiting for it, and no more (bench/serve.py)
        self.admission = Admission(queue or 9 * threads, short=2 * threads)
        self.intake = Intake(max_body)
        self.metrics = Metrics()
        self.metrics.watch_queue(lambda: self.admission.inside)
        self.ready = False
        self.stops: list[Callable[[], None]] = []  # called when the server begins to stop
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sightline")
        self._guard: Guard | None = None
        self._guard_pool = ThreadPoolExecutor(1, thread_name_prefix="sightline-guard")
        self._guarded = self._explaining = 0

    def start(self) -> None:
        """Warm up: an answer from every model, and the guard's process. Blocks."""
        from sightline.runtime.guard import Guard

        self._guard = Guard()
        pictures = _warm_pictures()
        for served in self.models:
            for data in pictures:
                served.model.predict(data)
        self.ready = True

    def stop(self) -> None:
        """Turn new requests away; those inside go on."""
        self.ready = False
        self.admission.stopping = True
        for stop in self.stops:
            stop()

    def close(self) -> None:
        self.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._guard_pool.shutdown(wait=False, cancel_futures=True)
        if self._guard is not None:
            self._guard.close()

    def model(self, name: str | None) -> Served:
        """A model by name or id, the default one for None; raises ModelNotFoundError with the nearest name."""
        if not self.models:
            raise ModelNotFoundError("no model is served here", hint="this server only collects pictures")
        if name is None:
            return self.models[0]
        for served in self.models:
            if name in (served.card.name, served.card.id):
                return served
        names = [served.card.name for served in self.models]
        near = difflib.get_close_matches(name, names, 1)
        raise ModelNotFoundError(
            f"no model {name[:80]!r} is served here", hint=f"did you mean {near[0]}?" if near else "GET /v1/models lists them"
        )

    async def answer(self, uploads: Sequence[Upload], served: Served, top: int | None) -> bytes:
        """The JSON of the answers. Raises the picture's error when there is only one picture and it cannot be used."""
        if len(uploads) == 1:
            return wire.answers([await self._answer(uploads[0], served, top)], [])
        results, failures = [], []
        # at most as many at once as there are threads, so that one large request leaves room for the small ones
        places = asyncio.Semaphore(self.threads)

        async def one(upload: Upload) -> str | SightlineError:
            async with places:
                try:
                    return await self._answer(upload, served, top)
                except SightlineError as error:
                    return error

        for upload, outcome in zip(uploads, await asyncio.gather(*map(one, uploads)), strict=True):
            if isinstance(outcome, SightlineError):
                failures.append(wire.refusal(upload.name, outcome))
            else:
                results.append(outcome)
        return wire.answers(results, failures)

    async def _answer(self, upload: Upload, served: Served, top: int | None) -> str:
        try:
            if pixels.sniff(upload.data) in IN_THREAD:
                return await self.in_thread(self._from_bytes, upload, served, top)
            start = time.perf_counter()
            if served.whole is None:
                image = await self.guarded(lambda guard: guard.decode(upload.data))
                took = time.perf_counter() - start
                return await self.in_thread(self._objects, image, upload.name, served, top, took)
            image = await self.guarded(lambda guard: guard.prepare(upload.data, served.card.input))
            took = time.perf_counter() - start
            return await self.in_thread(self._from_pixels, image, upload.name, served, top, took)
        except SightlineError as error:
            self.metrics.failures.labels(error.code).inc()
            raise

    def _from_bytes(self, upload: Upload, served: Served, top: int | None) -> str:
        if served.whole is None:
            return self._objects(upload.data, upload.name, served, top)
        start = time.perf_counter()
        image = pixels.prepare(upload.data, served.card.input)
        return self._from_pixels(image, upload.name, served, top, time.perf_counter() - start)

    def _from_pixels(self, image: Pixels, name: str, served: Served, top: int | None, decode_s: float) -> str:
        start = time.perf_counter()
        model = served.whole
        if model is None:
            raise SightlineError("this model finds objects")
        found = model.answer(image[None])
        infer_s = time.perf_counter() - start
        took_ms = (decode_s + infer_s) * 1000
        text, flags = served.writer.result(name, found.probabilities[0], float(found.novelty[0]), took_ms, top)
        metrics = self.metrics
        metrics.decode.observe(decode_s)
        metrics.infer.observe(infer_s)
        metrics.pictures.inc()
        if "unknown" in flags:
            metrics.unknown.inc()
        if "unsure" in flags:
            metrics.unsure.inc()
        return text

    def _objects(self, picture: bytes | Pixels, name: str, served: Served, top: int | None, decode_s: float = 0.0) -> str:
        """The answer of a model that finds objects, for a file's bytes or upright pixels, in its picture's pixels."""
        start = time.perf_counter()
        found = served.model.predict(picture, name, top)
        infer_s = time.perf_counter() - start
        self.metrics.infer.observe(infer_s)
        self.metrics.pictures.inc()
        return json.dumps(tasks.to_wire(found.model_copy(update={"took_ms": round((decode_s + infer_s) * 1000, 3)})))

    async def explain(self, upload: Upload, served: Served, label: str | None) -> wire.Explanation:
        """Where the model looked for `label` (default: its best one); about 60 answers' worth of work, so few run at once."""
        if self._explaining >= self.threads:
            raise OverloadError("too many pictures are being explained", hint="send it again in a moment")
        self._explaining += 1
        try:
            return await self._explain(upload, served, label)
        finally:
            self._explaining -= 1

    async def _explain(self, upload: Upload, served: Served, label: str | None) -> wire.Explanation:
        from sightline.runtime.attention import attention_map

        start = time.perf_counter()
        model = served.whole
        if model is None:
            raise UsageError(
                f"{served.card.name[:80]} says itself what is where", hint="ask /v1/predict: its answers have boxes"
            )
        picture = await self.decode(upload.data, shorter=served.card.input.size)
        height, width = picture.shape[:2]

        def work() -> tuple[NDArray[np.float32], str]:
            image = pixels.fit(picture, served.card.input)
            wanted = label
            if wanted is None:
                wanted = served.card.classes[int(model.answer(image[None]).probabilities[0].argmax())]
            return attention_map(model, image, wanted), wanted

        grid, wanted = await self.in_thread(work)
        return wire.Explanation(
            picture=upload.name,
            label=wanted,
            grid=[[round(value, 4) for value in row] for row in grid.tolist()],
            region=region(width, height, served.card.input),
            took_ms=round((time.perf_counter() - start) * 1000, 3),
        )

    async def preview(self, data: bytes, side: int = 1024) -> bytes:
        """A JPEG of at most `side` pixels a side, upright and without metadata."""
        picture = await self.decode(data, shorter=side)

        def work() -> bytes:
            import io

            from PIL import Image

            image = Image.fromarray(picture)
            image.thumbnail((side, side))
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=88)
            return stream.getvalue()

        return await self.in_thread(work)

    async def decode(self, data: bytes, shorter: int | None = None) -> Pixels:
        """Upright pixels (h, w, 3) of any picture we read, decoded where its format belongs."""
        if pixels.sniff(data) in IN_THREAD:
            return await self.in_thread(lambda: pixels.decode(data, shorter=shorter))
        return await self.guarded(lambda guard: guard.decode(data, shorter=shorter))

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await self.admission.outcome(self._pool.submit(work, *arguments))

    async def guarded(self, work: Callable[[Guard], T]) -> T:
        """Run `work` with the guard; raises OverloadError when too many pictures wait for it."""
        if self._guarded >= GUARD_QUEUE:
            raise OverloadError("too many pictures of slow formats at once", hint="send JPEG or PNG, or wait a moment")
        guard = self._guard
        if guard is None:
            raise SightlineError("the guard is not started")
        self._guarded += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._guard_pool, work, guard)
        finally:
            self._guarded -= 1


def _warm_pictures() -> list[bytes]:
    """One picture of each format that is decoded in the threads: the first answer must not wait for imports."""
    import io

    from PIL import Image

    found = []
    for kind in ("JPEG", "PNG"):
        stream = io.BytesIO()
        Image.new("RGB", (64, 64), (128, 128, 128)).save(stream, kind)
        found.append(stream.getvalue())
    return found


def region(width: int, height: int, spec: InputSpec) -> wire.Region:
    """The part of an upright picture that a model sees, as shares of its sides; follows `runtime.pixels.fit`."""
    if spec.fit == "squash":
        return wire.Region(x0=0, y0=0, x1=1, y1=1)
    side = spec.crop * min(width, height) if spec.fit == "crop" else max(width, height)
    across, down = side / width / 2, side / height / 2
    return wire.Region(x0=0.5 - across, y0=0.5 - down, x1=0.5 + across, y1=0.5 + down)


def _for_pictures(model: Recogniser) -> Recogniser:
    """UsageError for a model of clips, which no request can carry yet."""
    if model.card.input.frames:
        raise UsageError(
            f"{model.card.name} answers for clips, and the server takes pictures only",
            hint="use `sightline predict CLIP --model MODEL`",
        )
    return model


def load_models(model: str | None, threads: int) -> list[Served]:
    """The model that a path or name means (None: the one trained last), or every model of a folder of models, by name.

    Raises ModelNotFoundError, BundleError, and UsageError for two of the same name.
    """
    model = str(latest()) if model is None else model
    folder = Path(model).expanduser()
    inside = sorted(path.parent for path in folder.glob(f"*/{CARD}")) if folder.is_dir() else []
    if (folder / CARD).is_file() or (folder / "model" / CARD).is_file() or not inside:
        return [Served(_for_pictures(load(model, threads)), str(find_bundle(model)))]
    models = [Served(_for_pictures(load(path, threads)), str(path)) for path in inside]
    names = [one.card.name for one in models]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise UsageError(
            f"two models in {folder} have the name {twins[0]!r}", hint="serve one of them, or train with another name"
        )
    return models
