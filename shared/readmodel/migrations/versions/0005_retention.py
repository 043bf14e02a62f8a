"""Holds, the time that a backup's content is of, and which databases a schedule backs up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    holds = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("backups", sa.Column("holds", holds, server_default="[]", nullable=False))
    op.add_column("backups", sa.Column("taken_at", sa.DateTime(timezone=True)))
    op.execute(
        "UPDATE backups SET taken_at = (archive->>'taken_at')::timestamptz"
        " FROM backup_metadata WHERE backup_id = backups.id"
    )
    op.create_index("backups_by_schedule", "backups", ["schedule_id", "database_id"])
