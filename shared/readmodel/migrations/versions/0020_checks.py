"""What schedules ask of restored databases, and when they restore by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0020"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "schedules", sa.Column("test_restore", sa.Text(), nullable=False, server_default="")
    )
    op.add_column("schedules", sa.Column("checks", JSONB(), nullable=False, server_default="[]"))
    op.add_column("restores", sa.Column("checks", JSONB()))
    op.add_column("restores", sa.Column("schedule_id", sa.Text()))
    op.add_column("restores", sa.Column("slot", sa.DateTime(timezone=True)))
    op.add_column("backups", sa.Column("restore_test_checks", JSONB()))
