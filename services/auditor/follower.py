"""Follows the stream into Postgres, as long as the guard trusts the stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

from services.auditor.guard import Guard
from services.auditor.ledger import Record, recorded
from services.auditor.writer import LogGapError, Writer
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.bus.errors import BusRefusedError

BATCH = 500
"""So many events at most share a transaction; those of an idle platform go one by one."""

Hear: TypeAlias = Callable[[Sequence[Record]], Awaitable[None]]


class Follower:
    """`hear` is told of every batch after its commit, in order."""

    def __init__(
        self,
        bus: Bus,
        writer: Writer,
        guard: Guard,
        hear: Sequence[Hear],
        *,
        audit_keys: Sequence[bytes],
    ) -> None:
        self._bus, self._writer, self._guard, self._hear = bus, writer, guard, hear
        self._audit_keys = audit_keys

    async def work(self) -> None:
        """Project for ever; what was read before a doubt and not committed is read again."""
        while True:
            queue: asyncio.Queue[Record] = asyncio.Queue(2 * BATCH)
            try:
                await self._guard.while_trusted(
                    partial(self._read, queue), partial(self._write, queue)
                )
            except* LogGapError as errors:
                self._guard.alarm(str(errors.exceptions[0]))
            except* BusRefusedError as errors:
                self._guard.doubt(f"the event stream cannot be read: {errors.exceptions[0]}")

    async def _read(self, queue: asyncio.Queue[Record]) -> None:
        async for delivery in self._bus.follow(EVENTS, after_seq=self._writer.seq):
            await queue.put(recorded(delivery, self._audit_keys))

    async def _write(self, queue: asyncio.Queue[Record]) -> None:
        while True:
            batch = [await queue.get()]
            while len(batch) < BATCH and not queue.empty():
                batch.append(queue.get_nowait())
            await self._writer.write(batch)
            for hear in self._hear:
                await hear(batch)
