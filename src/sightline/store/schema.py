"""The tables of a workspace. Knows SQL only; what a row means is said in the modules named beside each table.

A picture of a dataset is an immutable row of `items`; a dataset version is the set of `members` that it names. Versions that
share rows share their storage, and a version is never changed: a name points at another one instead.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ROW = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only as INTEGER

# --- datasets.py: versions, what they hold, where they came from

datasets = Table(
    "datasets",
    metadata,
    Column("id", _ROW, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("name", String(200), nullable=False),  # as it was read; pointers are in `names`
    Column("task", String(20), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("positive", String(500)),
    Column("classes", JSON, nullable=False),
    Column("pictures", Integer, nullable=False),
    Column("sizes", JSON, nullable=False),  # split -> pictures
    Column("counts", JSON, nullable=False),  # split -> label -> pictures
    Column("failed", Integer, nullable=False),
    Column("failures", JSON, nullable=False),
    Column("source", Text, nullable=False),
    Column("made_by", JSON, nullable=False),  # types.Made
    Column("created", String(32), nullable=False),
    Column("skeletons", JSON),  # class -> types.Skeleton; NULL: keypoints have no names
)

parents = Table(
    "parents",
    metadata,
    Column("child", ForeignKey("datasets.id"), primary_key=True),
    Column("parent", ForeignKey("datasets.id"), primary_key=True),
)

items = Table(
    "items",
    metadata,
    Column("id", _ROW, primary_key=True, autoincrement=False),  # numbered by datasets.py, in the order of arrival
    Column("key", LargeBinary(32), nullable=False, unique=True),  # data.manifest.item_key
    Column("name", Text, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("uri", Text, nullable=False),  # the place it was read from last; not part of the key
    Column("labels", Text, nullable=False),  # JSON list; each once when `truth` says more
    Column("origin", Text, nullable=False),  # who said so: of all labels, when `truth` is empty
    Column("truth", Text),  # JSON list of annotations that are more than a label; NULL: the labels are all
    Column("group", Text),
    Column("facts", Text),  # JSON
)

members = Table(
    "members",
    metadata,
    Column("dataset", ForeignKey("datasets.id"), primary_key=True),
    Column("item", ForeignKey("items.id"), primary_key=True),
    Column("split", SmallInteger, nullable=False),  # place in datasets.SPLITS
    sqlite_with_rowid=False,
)

# --- names.py: pointers that can move, and every move

names = Table(
    "names",
    metadata,
    Column("kind", String(20), primary_key=True),  # dataset, model
    Column("name", String(200), primary_key=True),
    Column("target", String(64), nullable=False),  # a dataset's hash, a model's id
    Column("moved", String(32), nullable=False),
)

moves = Table(
    "moves",
    metadata,
    Column("id", _ROW, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("name", String(200), nullable=False),
    Column("target", String(64), nullable=False),
    Column("why", Text, nullable=False),  # the verb, or "undo"
    Column("moved", String(32), nullable=False),
    Index("ix_moves_kind_name", "kind", "name"),
)

# --- models.py: which models there are, and what each was trained on

models = Table(
    "models",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("path", Text, nullable=False),
    Column("dataset", String(64), nullable=False, index=True),  # hash; kept even when the version is not in this workspace
    Column("card", JSON, nullable=False),
    Column("created", String(32), nullable=False),
)

# --- predictions.py: what models said; never mixed with the truth

predictions = Table(
    "predictions",
    metadata,
    Column("id", _ROW, primary_key=True),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("model", String(16), nullable=False),
    Column("labels", JSON, nullable=False),
    Column("flags", JSON, nullable=False),
    Column("created", String(32), nullable=False),
    UniqueConstraint("sha256", "model"),
)

# --- jobs.py: long verbs, claimed by workers for a while

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("verb", String(40), nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("progress", JSON),
    Column("result", JSON),
    Column("error", JSON),
    Column("key", String(255), unique=True),  # the client's own name for its request (Idempotency-Key)
    Column("attempts", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),  # attempts that ended without a word: killed, out of memory, power cut
    Column("worker", String(100), nullable=False),
    Column("lease", Float, nullable=False),  # seconds since 1970: running: the worker's until then; queued: not before
    Column("cancel", Integer, nullable=False),  # 1: somebody asked to stop it
    Column("created", String(32), nullable=False),
    Column("started", String(32), nullable=False),
    Column("ended", String(32), nullable=False),
)

# --- arrivals.py: what a collection under way has brought home; empty when none is

arrivals = Table(
    "arrivals",
    metadata,
    Column("run", String(64), primary_key=True),  # names the collection: the same one goes on where it was
    Column("source", String(64), primary_key=True),  # SHA-256 of the picture's address
    Column("item", JSON),  # types.Item; NULL: it failed
    Column("failure", JSON),  # types.Failure
)
