"""How much the backups of a group's servers may take up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("server_groups", sa.Column("quota_bytes", sa.BigInteger()))
