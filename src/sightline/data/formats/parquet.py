"""Parquet with the pictures' bytes in it, as the Hugging Face hub keeps data sets: image {bytes, path}, label, objects.

What the numbers of a label mean stands in the schema's metadata ("huggingface"). Rows are streamed; pyarrow: extra `data`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from sightline.data.containers import Sample, plain_name, unpacked
from sightline.data.formats.fields import OBJECTS, Entry, listing, split_of, told
from sightline.data.formats.format import Export, Format
from sightline.data.formats.lines import parsed
from sightline.data.listing import Listing, left_out
from sightline.data.place import Place
from sightline.data.tables import COLUMNS, FACTS
from sightline.errors import DatasetError, missing_extra
from sightline.types import Dataset, Facts, Failure, Item, Split

ROWS, SHARD = 100, 500_000_000  # rows of a group and bytes of a file that is written, as the hub does it
_BATCH = 8  # rows in memory while reading: a small file can hold one picture of 100 MB a thousand times
_DATA = ("bytes", "data", "jpg", "jpeg", "png")


class _Columns(NamedTuple):
    """Which columns hold what: the picture, its label, everything else that is understood; and what numbers mean."""

    image: str
    struct: bool
    label: str | None
    others: tuple[str, ...]
    classes: tuple[str, ...]
    categories: tuple[str, ...]


def _recognised(place: Place) -> bool:
    return bool(_shards(place)) and (place.given is not None or not place.tree.pictures())


def _shards(place: Place) -> list[str]:
    found = []
    for file in place.documents(".parquet"):
        with suppress(OSError), (place.tree.root / file).open("rb") as stream:
            if stream.read(4) == b"PAR1":
                found.append(file)
    return found


def _read(place: Place) -> Listing:
    shards = _shards(place)
    if not shards:
        raise DatasetError(
            f"there is no Parquet file in {place.tree.root.name}", hint="expected data/train-00000-of-00001.parquet"
        )
    entries: list[Entry] = []
    failures: list[Failure] = []
    for file in shards:
        path = place.tree.root / file
        stored, refused = unpacked(path, "parquet", lambda path=path: _samples(path))  # type: ignore[misc]
        failures += refused
        if stored:
            columns = _columns_of(path)
            split = split_of(file)
            entries += [Entry(s.uri, s.name, s.about, split, columns.classes, columns.categories) for s in stored]
    return listing("parquet", entries, failures)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise missing_extra("data", "Parquet") from error
    return pyarrow, pyarrow.parquet


def _open(path: Path) -> Any:
    """The file's footer; DatasetError for whatever Arrow does not like about it."""
    arrow, parquet = _pyarrow()
    try:
        return parquet.ParquetFile(path, memory_map=False, pre_buffer=False)
    except (arrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DatasetError(f"{path.name} is damaged or no Parquet: {_short(error)}", hint="copy it again") from error


def _columns_of(path: Path) -> _Columns:
    with _open(path) as file:
        return _columns(file.schema_arrow, path)


def _columns(schema: Any, path: Path) -> _Columns:
    arrow, _ = _pyarrow()
    features = _features(schema.metadata or {})
    names = {str(name).lower(): str(name) for name in schema.names}

    def holds(name: str) -> tuple[bool, bool]:
        """(it holds pictures, it is a struct)"""
        kind = schema.field(name).type
        kind = kind.value_type if arrow.types.is_dictionary(kind) else kind
        if arrow.types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields)), True
        return arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind), False

    marked = [name for name, feature in features.items() if name in schema.names and feature.get("_type") == "Image"]
    likely = [names[word] for word in (*COLUMNS["file"], *_DATA) if word in names]
    image = next((name for name in (*marked, *likely, *schema.names) if holds(name)[0]), None)
    if image is None:
        columns = ", ".join(schema.names[:20]) or "none"
        raise DatasetError(f"{path.name} holds no pictures; columns: {columns}", hint="expected image {bytes, path} and label")
    numbered = {name: _names(features.get(name)) for name in schema.names if name.lower() not in OBJECTS}
    label = next((names[word] for word in COLUMNS["label"] if word in names and names[word] != image), None)
    if label is None and any(numbered.values()):  # CIFAR-100 has fine_label and coarse_label: the one that says more
        label = max(numbered, key=lambda name: len(numbered[name]))
    known = {*OBJECTS, *COLUMNS["group"], *(word for words in FACTS.values() for word in words)}
    others = tuple(name for name in schema.names if name.lower() in known and name not in (image, label))
    objects = next((name for name in others if name.lower() in OBJECTS), "")
    return _Columns(image, holds(image)[1], label, others, numbered.get(label or "", ()), _names(features.get(objects)))


def _features(metadata: dict[bytes, bytes]) -> dict[str, dict[str, Any]]:
    """The features of the Hugging Face metadata; nothing where they make no sense."""
    try:
        features = parsed(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _names(feature: object, depth: int = 0) -> tuple[str, ...]:
    """The class names of a feature, wherever they stand in it: ClassLabel, Sequence(ClassLabel), {category: ...}."""
    if depth > 8:
        return ()
    if isinstance(feature, dict):
        names = feature.get("names")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return tuple(names)
        return next((found for value in feature.values() if (found := _names(value, depth + 1))), ())
    if isinstance(feature, list):
        return next((found for value in feature if (found := _names(value, depth + 1))), ())
    return ()


def _samples(path: Path) -> Iterator[Sample | Failure]:
    """The rows, one row group after the other; a broken group is one failure and the next one is read."""
    arrow, _ = _pyarrow()
    with _open(path) as file:
        columns = _columns(file.schema_arrow, path)
        wanted = [columns.image, *([columns.label] if columns.label else []), *columns.others]
        number = 0
        for group in range(file.num_row_groups):
            before = number
            try:
                for batch in file.iter_batches(_BATCH, row_groups=[group], columns=wanted, use_threads=False):
                    for row in range(batch.num_rows):
                        yield _sample(path, columns, batch, row, number)
                        number += 1
            except (arrow.ArrowException, OSError, ValueError, MemoryError) as error:
                message = f"{path.name} breaks off in group {group + 1} after {number - before} of its rows: {_short(error)}"
                yield left_out(path.name, "container", message, "copy it again")


def _sample(path: Path, columns: _Columns, batch: Any, row: int, number: int) -> Sample | Failure:
    otherwise = f"{path.stem}-{number:06d}"
    try:
        value = _value(batch, columns.image, row)
        data, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        about = {name: _plain(_value(batch, name, row)) for name in columns.others}
        about |= {"label": _plain(_value(batch, columns.label, row))} if columns.label else {}
    except ValueError as error:  # text that is not UTF-8
        return left_out(otherwise, "row_broken", f"{path.name} row {number + 1}: {_short(error)}")
    if not isinstance(data, bytes):
        lacks = "only a picture's path" if isinstance(name, str) and name else "no picture"
        hint = "`sightline collect` reads tables of paths and addresses"
        return left_out(otherwise, "picture_missing", f"{path.name} row {number + 1} holds {lacks}, not its bytes", hint)
    return Sample(data, plain_name(name, otherwise) if isinstance(name, str) else otherwise, about)


def _value(batch: Any, name: str, row: int) -> Any:
    return batch.column(name)[row].as_py()


def _plain(value: Any) -> Any:
    """A value of Arrow as JSON knows it."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    return "" if isinstance(value, bytes) else str(value)


def _short(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# --- writing


class _Schema(NamedTuple):
    """Which columns a dataset needs, the same for every file of it."""

    several: bool
    placed: bool
    tags: bool  # in a dataset with places: some pictures have labels as a whole too
    texts: tuple[str, ...]  # group and facts


def _schema_of(dataset: Dataset) -> _Schema:
    texts = [name for name in Facts.model_fields if any(item.facts and getattr(item.facts, name) for item in dataset.items)]
    if any(item.group is not None for item in dataset.items):
        texts.insert(0, "group")
    placed = dataset.task == "detection"
    tags = placed and any(mark.box is None for item in dataset.items for mark in item.truth)
    return _Schema(dataset.task == "multilabel" or tags, placed, tags, tuple(texts))


def _arrow_schema(schema: _Schema, classes: tuple[str, ...]) -> Any:
    arrow, _ = _pyarrow()
    text, number = arrow.string(), arrow.int64()
    named = {"names": list(classes), "_type": "ClassLabel"}
    fields = [("image", arrow.struct([("bytes", arrow.binary()), ("path", text)]))]
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if schema.several:
        fields.append(("labels", arrow.list_(number)))
        features["labels"] = {"feature": named, "_type": "Sequence"}
    elif not schema.placed:
        fields.append(("label", number))
        features["label"] = named
    if schema.placed:
        boxes = arrow.list_(arrow.list_(arrow.float64()))
        fields.append(("objects", arrow.struct([("bbox", boxes), ("category", arrow.list_(number))])))
        box = {"feature": {"dtype": "float64", "_type": "Value"}, "_type": "Sequence"}
        category = {"feature": named, "_type": "Sequence"}
        features["objects"] = {"bbox": {"feature": box, "_type": "Sequence"}, "category": category}
    for name in schema.texts:
        fields.append((name, text))
        features[name] = {"dtype": "string", "_type": "Value"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False)}
    return arrow.schema(fields, metadata=metadata)


class _Files:
    """The files of one split while they are written; their final names tell how many there are, so they come at the end."""

    def __init__(self, folder: Path, word: str, schema: Any) -> None:
        self._folder, self._word, self._schema = folder, word, schema
        self._paths: list[Path] = []
        self._writer: Any = None
        self._rows: list[dict[str, Any]] = []
        self._waiting = self._bytes = 0

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self._waiting += len(row["image"]["bytes"])
        if len(self._rows) >= ROWS or self._waiting >= SHARD // 10:
            self._flush()

    def _flush(self) -> None:
        arrow, parquet = _pyarrow()
        if self._writer is None or self._bytes >= SHARD:
            if self._writer is not None:
                self._writer.close()
            self._folder.mkdir(exist_ok=True)
            self._paths.append(self._folder / f"{self._word}-{len(self._paths):05d}.part")
            # pictures are compressed already, and statistics would hold two of them again
            options = {"compression": "NONE", "use_dictionary": False, "write_statistics": False}
            self._writer, self._bytes = parquet.ParquetWriter(self._paths[-1], self._schema, **options), 0
        self._writer.write_table(arrow.Table.from_pylist(self._rows, schema=self._schema))
        self._bytes += self._waiting
        self._rows, self._waiting = [], 0

    def close(self) -> None:
        if self._rows:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        for number, path in enumerate(self._paths):
            path.rename(self._folder / f"{self._word}-{number:05d}-of-{len(self._paths):05d}.parquet")


def _write(work: Export) -> None:
    classes = work.dataset.classes
    numbers = {label: number for number, label in enumerate(classes)}
    schema = _schema_of(work.dataset)
    columns = _arrow_schema(schema, classes)
    files: dict[Split | None, _Files] = {}
    for picture in work.pictures():
        split = picture.item.split
        if split not in files:
            files[split] = _Files(work.out / "data", split or "all", columns)
        image = {"bytes": picture.data, "path": picture.name}
        files[split].add({"image": image} | _row(picture.item, schema, numbers))
    for file in files.values():
        file.close()


def _row(item: Item, schema: _Schema, numbers: dict[str, int]) -> dict[str, Any]:
    fields = told(item, several=schema.several and not schema.placed, placed=schema.placed)
    row: dict[str, Any] = {name: fields.get(name) for name in schema.texts}
    if schema.several:
        row["labels"] = [numbers[label] for label in fields.get("labels", ())]
    elif not schema.placed:
        row["label"] = numbers[fields["label"]] if "label" in fields else None
    if schema.placed:
        objects = fields["objects"]
        row["objects"] = objects | {"category": [numbers[label] for label in objects["category"]]}
    return row


FORMAT = Format(
    "Parquet with pictures",
    _recognised,
    _read,
    _write,
    frozenset({"labels", "several", "boxes", "splits", "groups", "facts", "unlabelled"}),
    files=(".parquet",),
)
