"""Backups of another installation, found in a store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("backups", sa.Column("signed_by", sa.Text()))
