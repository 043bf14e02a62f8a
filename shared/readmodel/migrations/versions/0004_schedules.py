"""What is wrong with a schedule, and which slots of it were requested."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("schedules", sa.Column("problem", postgresql.JSONB(astext_type=sa.Text())))
    op.create_index("backups_by_slot", "backups", ["schedule_id", "slot"])
