"""Datasets to send through a format and back, and the comparison of what comes out."""

from __future__ import annotations

from pathlib import Path

from pictures import COLOURS, drawn, encoded
from sightline.data.formats import export
from sightline.data.manifest import with_hashes
from sightline.data.readers import read
from sightline.progress import Event, listen
from sightline.types import Annotation, Dataset, Facts, Item, Split, Task

CLASSES = ("blue", "green", "red")


def pictures(root: Path, count: int = 6, size: tuple[int, int] = (40, 32), kind: str = "JPEG") -> list[Path]:
    """Drawn pictures a-0.jpg, a-1.jpg, ..., the colours in turn."""
    root.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(count):
        path = root / f"a-{number}.{'jpg' if kind == 'JPEG' else 'png'}"
        colour = COLOURS[CLASSES[number % 3]]
        path.write_bytes(encoded(drawn(number, size, colour), kind))
        found.append(path)
    return found


def dataset(
    files: list[Path], *, task: Task = "multiclass", splits: tuple[Split | None, ...] = (None,), rich: bool = False
) -> Dataset:
    """One item a file; `splits` in turn. `rich`: with groups, sources and licences, and a picture without a label."""
    items = []
    for number, path in enumerate(files):
        labels = [CLASSES[number % 3]] + ([CLASSES[(number + 1) % 3]] if task == "multilabel" and number % 2 else [])
        truth = tuple(Annotation(label=label) for label in labels)
        if task == "detection":
            truth = tuple(
                mark.model_copy(update={"box": (1.25 + place, 2.0, 20.5, 30.125)}) for place, mark in enumerate(truth)
            )
        facts = Facts(source=f"https://example.org/{number}", licence="CC0", author="Ana" if number % 2 else "")
        items.append(
            Item(
                uri=str(path),
                name=path.name,
                truth=() if rich and number == 0 else truth,
                split=splits[number % len(splits)],
                group=f"g{number // 2}" if rich else None,
                facts=facts if rich else None,
            )
        )
    return with_hashes(Dataset(name="d", task=task, classes=CLASSES, items=tuple(items)))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def there_and_back(given: Dataset, format: str, out: Path) -> Dataset:
    """Write it, read it (as guessed and as told, which must agree), write what was read: the same bytes."""
    assert export(given, format, out) == ()
    found = read(out)
    assert found.failures == ()
    assert read(out, format=format).hash == found.hash
    again = out.with_name(f"{out.name}-again")
    assert export(found, format, again) == ()
    assert contents(again) == contents(out)
    return found


def said(given: Dataset, *, pixels: bool = True) -> list[tuple[object, ...]]:
    """Everything that counts about each picture, in an order of its own."""
    rows = []
    for item in given.items:
        marks = sorted((mark.label, mark.box or ()) for mark in item.truth)
        stem = item.name.rpartition("/")[2].rpartition(".")[0]
        rows.append((stem, tuple(marks), item.split, item.group, item.facts, item.sha256 if pixels else ""))
    return sorted(rows, key=repr)


def notes_of(work: object) -> list[str]:
    """The notes that `work()` says."""
    heard: list[Event] = []
    with listen(heard.append):
        work()  # type: ignore[operator]
    return [event.note for event in heard if event.note]
