"""What the audit log is searched by, and command templates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())
_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in ("actor", "action"):
        op.create_index(f"audit_logs_{column}", "audit_logs", [column, "n"])
    op.create_index("audit_logs_time", "audit_logs", ["time"])
    for name, columns, part in (
        ("audit_logs_trouble", ["outcome", "n"], "outcome <> 'ok'"),
        ("audit_logs_request", ["request_id"], "request_id <> ''"),
    ):
        op.create_index(name, "audit_logs", columns, postgresql_where=sa.text(part))
    _commands()
    _executions()


def _commands() -> None:
    op.create_table(
        "commands",
        sa.Column("id", sa.String(length=64), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("name", "description", "kind", "template")
        ),
        sa.Column("variables", _JSON, nullable=False),
        sa.Column("timeout_s", sa.Integer(), nullable=False),
        sa.Column("roles", _JSON, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("updated_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _executions() -> None:
    op.create_table(
        "command_executions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("command_version", sa.BigInteger(), nullable=False),
        sa.Column("server_id", sa.UUID(), nullable=False),
        sa.Column("variables", _JSON, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("problem", _JSON),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_at", _WHEN, nullable=False),
        sa.Column("ended_at", _WHEN),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "command_executions_by_command", "command_executions", ["command_id", "requested_at"]
    )
