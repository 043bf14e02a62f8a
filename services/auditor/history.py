"""Reads event_log: what the stream is compared with, and re-created from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from services.auditor.ledger import stored_event
from services.auditor.writer import told_when_lost
from shared.audit.leaf import Event

PAGE = 1000


class Tail(msgspec.Struct, frozen=True):
    """The last event that is stored in Postgres; `seq` 0 and no hash when there is none."""

    seq: int
    hash: bytes


class History:
    """Queries of event_log, one at a time; each raises UnavailableError while Postgres is away."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    async def tail(self) -> Tail:
        rows = await self._rows("SELECT seq, hash FROM event_log ORDER BY seq DESC LIMIT 1")
        return Tail(rows[0]["seq"], rows[0]["hash"]) if rows else Tail(0, b"")

    async def hashes(self, first: int, last: int) -> list[bytes]:
        """The hashes of events `first` to `last`, as far as they are stored."""
        query = "SELECT hash FROM event_log WHERE seq BETWEEN $1 AND $2 ORDER BY seq"
        return [row["hash"] for row in await self._rows(query, first, last)]

    async def events(self, last: int) -> AsyncIterator[list[Event]]:
        """Events 1 to `last`, in pages."""
        query = (
            "SELECT seq, stored_at, subject, headers, data FROM event_log "
            "WHERE seq BETWEEN $1 AND $2 ORDER BY seq"
        )
        for first in range(1, last + 1, PAGE):
            rows = await self._rows(query, first, min(first + PAGE - 1, last))
            yield [stored_event(row) for row in rows]

    async def holds(self, event_id: str) -> bool:
        """Whether an event of this id is stored."""
        return bool(await self._rows("SELECT FROM event_log WHERE event_id = $1 LIMIT 1", event_id))

    async def _rows(self, query: str, *values: Any) -> list[Any]:
        with told_when_lost():
            async with self._turn:
                return list(await self._connection.fetch(query, *values))
