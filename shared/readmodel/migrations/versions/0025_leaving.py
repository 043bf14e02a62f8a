"""What expired can come back until its deletion has begun; when what went was gone; envelopes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    when = sa.DateTime(timezone=True)
    for table in ("backups", "archives"):
        op.add_column(table, sa.Column("envelope", sa.Integer()))
        op.add_column(table, sa.Column("envelope_sha256", sa.Text()))
    op.add_column("backups", sa.Column("deletion_begun_at", when))
    op.add_column("archives", sa.Column("delete_after", when))
    op.add_column("archives", sa.Column("deletion_begun_at", when))
    op.add_column("backups", sa.Column("deleted_at", when))
    op.add_column("archives", sa.Column("deleted_at", when))
    # What is half gone comes back no more. Of what was gone already nobody asks.
    op.execute(
        "UPDATE backups SET deletion_begun_at = begun.at FROM ("
        " SELECT split_part(subject, '.', 5) AS id, max(stored_at) AS at FROM event_log"
        " WHERE subject LIKE 'evt.backup.deletion_begun.%' GROUP BY 1"
        ") begun WHERE backups.id::text = begun.id AND backups.status = 'expired'"
    )
