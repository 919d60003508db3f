"""The names of an object's keypoints, class by class."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("skeletons", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("datasets", "skeletons")
