"""Which key of the platform opens each archive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("backups", "archives"):
        op.add_column(table, sa.Column("key_id", sa.Text()))
    op.execute(
        "UPDATE backups SET key_id = m.archive -> 'recipients' ->> 0"
        " FROM backup_metadata m WHERE m.backup_id = backups.id AND first_store_id IS NULL"
        " AND stored_bytes IS NOT NULL"
    )
