"""Groups, schedules, blackouts, richer policies, further archives."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())
_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("grants", _JSON, server_default="[]", nullable=False))
    op.add_column("servers", sa.Column("group_ids", _JSON, server_default="[]", nullable=False))
    for rule in ("keep_days", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"):
        column = sa.Column(rule, sa.Integer(), server_default="0", nullable=False)
        op.add_column("retention_policies", column)
    op.add_column(
        "retention_policies",
        sa.Column("min_age_s", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.add_column("backups", sa.Column("schedule_id", sa.Text()))
    op.add_column("backups", sa.Column("slot", _WHEN))
    op.create_index("backups_by_server", "backups", ["server_id", "requested_at", "id"])
    op.create_index("backups_by_status", "backups", ["status", "requested_at", "id"])
    _settings()
    _archives()
    op.execute(
        "CREATE VIEW server_group_members AS SELECT member.group_id, servers.id AS server_id"
        " FROM servers, jsonb_array_elements_text(servers.group_ids) AS member(group_id)"
    )


def _settings() -> None:
    _settings_table(
        "server_groups",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
    )
    _settings_table(
        "schedules",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "cron", "time_zone")),
        *(
            sa.Column(name, _JSON, nullable=False)
            for name in ("database_ids", "group_ids", "tags", "targets")
        ),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("type_wanted", "method", "codec")
        ),
        sa.Column("jitter_s", sa.Integer(), nullable=False),
        sa.Column("blackout_ids", _JSON, nullable=False),
        sa.Column("missed", sa.Text(), nullable=False),
        sa.Column("missed_within_s", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
    )
    _settings_table(
        "blackouts",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "cron", "time_zone")),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
    )


def _settings_table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.String(length=64), nullable=False),
        *columns,
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("updated_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _archives() -> None:
    op.create_table(
        "archives",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("backup_id", sa.UUID(), nullable=False),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("proof", sa.Text(), server_default="unverified", nullable=False),
        sa.Column("prefix", sa.Text()),
        sa.Column("stored_bytes", sa.BigInteger()),
        sa.Column("problem", _JSON),
        sa.Column("requested_at", _WHEN, nullable=False),
        sa.Column("stored_at", _WHEN),
        sa.Column("verified_at", _WHEN),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("archives_by_backup", "archives", ["backup_id"])
    op.create_index("archives_by_store", "archives", ["store_id", "status"])
