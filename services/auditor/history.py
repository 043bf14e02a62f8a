"""Reads event_log: what the stream is compared with, and re-created from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from services.auditor.ledger import stored_event
from shared.audit.leaf import Event

PAGE = 1000


class Tail(msgspec.Struct, frozen=True):
    """The last event that is stored in Postgres; `seq` 0 and no hash when there is none."""

    seq: int
    hash: bytes


class History:
    """Queries of event_log over a connection of its own."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def tail(self) -> Tail:
        row = await self._connection.fetchrow(
            "SELECT seq, hash FROM event_log ORDER BY seq DESC LIMIT 1"
        )
        return Tail(row["seq"], row["hash"]) if row else Tail(0, b"")

    async def hashes(self, first: int, last: int) -> list[bytes]:
        """The hashes of events `first` to `last`, as far as they are stored."""
        rows = await self._connection.fetch(
            "SELECT hash FROM event_log WHERE seq BETWEEN $1 AND $2 ORDER BY seq", first, last
        )
        return [row["hash"] for row in rows]

    async def events(self, last: int) -> AsyncIterator[list[Event]]:
        """Events 1 to `last`, in pages."""
        for first in range(1, last + 1, PAGE):
            rows = await self._connection.fetch(
                "SELECT seq, stored_at, subject, headers, data FROM event_log "
                "WHERE seq BETWEEN $1 AND $2 ORDER BY seq",
                *(first, min(first + PAGE - 1, last)),
            )
            yield [stored_event(row) for row in rows]

    async def holds(self, event_id: str) -> bool:
        """Whether an event of this id is stored."""
        query = "SELECT EXISTS (SELECT FROM event_log WHERE event_id = $1)"
        return bool(await self._connection.fetchval(query, event_id))
