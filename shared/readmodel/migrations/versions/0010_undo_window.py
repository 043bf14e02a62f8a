"""Until when the deletion of a backup can be taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("backups", sa.Column("delete_after", sa.DateTime(timezone=True)))
