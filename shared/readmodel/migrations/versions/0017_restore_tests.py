"""Which backups were restored as a test, and how that went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "restores", sa.Column("test", sa.Boolean(), nullable=False, server_default="false")
    )
    op.add_column("backups", sa.Column("restore_tested_at", sa.DateTime(timezone=True)))
    op.add_column("backups", sa.Column("restore_test_s", sa.Float()))
    op.add_column("backups", sa.Column("restore_test_problem", JSONB()))
