"""When which database is to be judged again, though no event tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from uuid import UUID

LONGEST_SLEEP_S = 300.0
"""Clocks can be set: a sleep does not rely on them for longer."""


class Agenda:
    """One time per database: the next at which anything of it could expire."""

    def __init__(self) -> None:
        self._due: dict[UUID, datetime] = {}
        self._changed = asyncio.Event()

    def put(self, database_id: UUID, at: datetime | None) -> None:
        """Judge the database at this time, and not before; None: only an event changes it."""
        if at is None:
            self._due.pop(database_id, None)
            return
        self._due[database_id] = at
        self._changed.set()

    def put_all(self, database_ids: Iterable[UUID], at: datetime) -> None:
        for database_id in database_ids:
            self.put(database_id, at)

    def due(self, now: datetime) -> list[UUID]:
        """The databases whose time has come."""
        return [database_id for database_id, at in self._due.items() if at <= now]

    async def sleep(self, now: datetime) -> None:
        """Until the first time of all, or one is added."""
        self._changed.clear()
        pause_s = LONGEST_SLEEP_S
        if self._due:
            until = (min(self._due.values()) - now).total_seconds()
            pause_s = min(max(until, 0.0), pause_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._changed.wait()
