"""Remembers how far each durable is, because damage to the stream sets the server's memory back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from services.auditor.guard import Guard
from services.auditor.line import Durable, Line
from services.auditor.writer import Writer
from shared.bus.errors import BusRefusedError
from shared.errors import UnavailableError
from shared.messages.base import now

EVERY_S = 1.0


class Floors:
    """Saves floors while the stream is trusted; in Postgres a floor only ever rises."""

    def __init__(self, line: Line, writer: Writer, guard: Guard) -> None:
        self._line, self._writer, self._guard = line, writer, guard
        self._saved: dict[str, Durable] = {}

    async def work(self) -> None:
        """Look at all durables, again and again, and save what changed."""
        while True:
            doubt = await self._guard.trusted()
            found = await self._look()
            if not doubt.is_set():
                await self._save([one for one in found if self._saved.get(one.name) != one])
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> list[Durable]:
        try:
            return await self._line.durables(self._writer.seq)
        except (UnavailableError, BusRefusedError):
            return []  # a floor that is saved later is a redelivery, no loss

    async def _save(self, durables: Sequence[Durable]) -> None:
        if not durables:
            return
        async with self._writer.transaction() as connection:
            await save(connection, durables)
        self._saved |= {durable.name: durable for durable in durables}


async def save(connection: Any, durables: Sequence[Durable]) -> None:
    """Write floors; an older one never replaces a newer one."""
    rows = [(one.name, msgspec.json.encode(one.config).decode(), one.floor) for one in durables]
    await connection.executemany(
        "INSERT INTO consumer_floors (name, config, floor, at) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (name) DO UPDATE SET config = EXCLUDED.config, at = EXCLUDED.at, "
        "floor = GREATEST(consumer_floors.floor, EXCLUDED.floor)",
        [(*row, now()) for row in rows],
    )


async def saved(connection: Any) -> list[Durable]:
    """Every durable as it was last seen in order."""
    rows = await connection.fetch("SELECT name, config, floor FROM consumer_floors ORDER BY name")
    return [Durable(r["name"], msgspec.json.decode(r["config"]), r["floor"]) for r in rows]
