"""What a backup builds on, and how long the chains of a schedule may be."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("chain_id", "parent_id"):
        op.add_column("backups", sa.Column(column, sa.UUID(as_uuid=True)))
    op.add_column("backups", sa.Column("fresh_bytes", sa.BigInteger()))
    why = sa.Column("full_because", sa.Text(), nullable=False, server_default="")
    op.add_column("backups", why)
    op.create_index("backups_by_chain", "backups", ["chain_id"])
    op.create_index("backups_by_parent", "backups", ["parent_id"])
    # What was made before is a full, and a chain of its own.
    op.execute("UPDATE backups SET chain_id = id WHERE status NOT IN ('requested', 'running')")
    chain_limit = sa.Column("chain_limit", sa.Integer(), nullable=False, server_default="30")
    op.add_column("schedules", chain_limit)
