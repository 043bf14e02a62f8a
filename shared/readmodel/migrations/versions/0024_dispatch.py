"""Whether runs are dispatched, and how much at once a store takes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dispatch",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    op.add_column("stores", sa.Column("run_limit", sa.Integer()))
    op.add_column("stores", sa.Column("upload_bytes_s", sa.BigInteger()))
    op.add_column("stores", sa.Column("download_bytes_s", sa.BigInteger()))
