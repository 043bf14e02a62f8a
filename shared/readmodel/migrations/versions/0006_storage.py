"""Where else a backup is to stand, since when it is to be deleted, what a store's test said."""

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
    op.add_column("stores", sa.Column("tested_at", sa.DateTime(timezone=True)))
    problem = sa.Column("test_problem", postgresql.JSONB(astext_type=sa.Text()))
    op.add_column("stores", problem)
    op.add_column("stores", sa.Column("free_bytes", sa.BigInteger()))
