"""What is looked at again and again: the last good backup of each database. Objectives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())
_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_index(
        "backups_good",
        "backups",
        ["database_id", "taken_at"],
        postgresql_where=sa.text("status = 'completed' AND proof <> 'corrupt'"),
    )
    op.create_table(
        "objectives",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rpo_s", sa.BigInteger(), nullable=False),
        sa.Column("rto_s", sa.BigInteger()),
        sa.Column("database_ids", _JSON, nullable=False),
        sa.Column("group_ids", _JSON, nullable=False),
        sa.Column("tags", _JSON, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("updated_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
