"""Which backups were read with their keys, and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "restores", sa.Column("deep", sa.Boolean(), nullable=False, server_default="false")
    )
    op.add_column("backups", sa.Column("deep_verified_at", sa.DateTime(timezone=True)))
    op.add_column("backups", sa.Column("deep_verify_s", sa.Float()))
