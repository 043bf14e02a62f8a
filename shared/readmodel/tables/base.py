"""What every table shares."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Index, MetaData, String, Table

metadata = MetaData()
when = DateTime(timezone=True)


def settings_table(name: str, *columns: Column[Any] | Index) -> Table:
    """A table of settings: `version` is the stream sequence of the last message, and the ETag."""
    return Table(
        name,
        metadata,
        Column("id", String(64), primary_key=True),
        *columns,
        Column("version", BigInteger, nullable=False),
        Column("created_at", when, nullable=False),
        Column("updated_at", when, nullable=False),
    )
