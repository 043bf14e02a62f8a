"""The order in which a store is scrubbed, where what it holds moves to, and what it locks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("backups_by_store", "backups", ["store_id", "completed_at", "id"])
    op.add_column("backups", sa.Column("first_store_id", sa.Text()))
    op.add_column("stores", sa.Column("move_after_days", sa.Integer()))
    op.add_column("stores", sa.Column("move_to_store_id", sa.Text()))
    for table in ("backups", "archives"):
        op.add_column(table, sa.Column("locked_until", sa.DateTime(timezone=True)))
    op.create_index("archives_by_age", "archives", ["store_id", "stored_at", "backup_id"])
