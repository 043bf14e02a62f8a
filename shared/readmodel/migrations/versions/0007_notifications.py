"""Templates, richer rules, deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())
_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("notification_channels", sa.Column("disabled_at", _WHEN))
    op.add_column("notification_channels", sa.Column("disabled_problem", _JSON))
    _rules()
    op.create_table(
        "notification_templates",
        sa.Column("id", sa.String(length=64), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("name", "channel_kind", "title", "body")
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("updated_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    purpose = sa.Column("purpose", sa.Text(), server_default="fact", nullable=False)
    op.add_column("notifications", purpose)
    facts = sa.Column("facts", sa.Integer(), server_default="1", nullable=False)
    op.add_column("notifications", facts)
    op.add_column("notifications", sa.Column("redelivery_of", sa.UUID()))
    op.create_index("notifications_by_time", "notifications", ["at", "id"])
    op.create_index("notifications_by_channel", "notifications", ["channel_id", "at"])


def _rules() -> None:
    table = "notification_rules"
    severity = sa.Column("min_severity", sa.Text(), server_default="info", nullable=False)
    op.add_column(table, severity)
    for name in ("environments", "group_ids", "tags"):
        op.add_column(table, sa.Column(name, _JSON, server_default="[]", nullable=False))
    op.add_column(table, sa.Column("template_id", sa.Text()))
    op.add_column(table, sa.Column("repeat_after_s", sa.BigInteger()))
    op.add_column(table, sa.Column("tell_recovery", sa.Boolean()))
    op.add_column(table, sa.Column("quiet", _JSON))
    op.add_column(table, sa.Column("digest", _JSON))
