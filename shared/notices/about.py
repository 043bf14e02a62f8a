"""What a fact is about, by the names an operator knows."""

from __future__ import annotations

import msgspec


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Server, database and store of a fact, as far as it has them; else empty."""

    server_id: str = ""
    server: str = ""
    environment: str = ""
    group_ids: list[str] = []
    database_id: str = ""
    database: str = ""
    tags: list[str] = []
    store: str = ""

    @property
    def place(self) -> str:
        """`orders on shop`, `shop`, or nothing."""
        return " on ".join(filter(None, (self.database, self.server)))


NOTHING = About()
