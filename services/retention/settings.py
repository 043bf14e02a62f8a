"""What the retention service reads from its environment."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_url`: the read model, by a role that only reads."""

    database_url: str
