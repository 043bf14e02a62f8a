"""API keys, and what accounts held before their rights changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())
_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("rights_before", _JSON))
    op.add_column(
        "users", sa.Column("rights_seq", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "user_id")),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        *(sa.Column(name, _JSON, nullable=False) for name in ("rights", "grants", "addresses")),
        sa.Column("expires_at", _WHEN),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("updated_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("api_keys_by_user", "api_keys", ["user_id", "name"])
