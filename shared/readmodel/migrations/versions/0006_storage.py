"""Where else a backup is to stand, and since when somebody wants it deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    stores = sa.Column(
        "further_store_ids",
        postgresql.JSONB(astext_type=sa.Text()),
        server_default="[]",
        nullable=False,
    )
    op.add_column("backups", stores)
    op.add_column("backups", sa.Column("delete_requested_at", sa.DateTime(timezone=True)))
