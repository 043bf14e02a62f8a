"""Who hears that a run shall stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from shared.bus import Bus
from shared.bus.base import EVENTS


class Cancellations:
    """The cancel requests of one pool."""

    def __init__(self, bus: Bus, pool: str) -> None:
        self._bus, self._subject = bus, f"evt.run.cancel_requested.{pool}"
        self._waiting: dict[str, asyncio.Event] = {}

    async def listen(self) -> None:
        """Wake the runs of this process, for ever."""
        async for delivery in self._bus.follow(
            EVENTS, after_seq=-1, filters=[f"{self._subject}.>"]
        ):
            run_id = delivery.subject.rpartition(".")[2]  # the subject says all there is to know
            if run_id in self._waiting:
                self._waiting[run_id].set()

    @asynccontextmanager
    async def heard(self, run_id: UUID) -> AsyncIterator[asyncio.Event]:
        """An event that is set once the run shall stop, also if that was said before."""
        wanted = self._waiting.setdefault(str(run_id), asyncio.Event())
        try:
            if await self._bus.last_of(f"{self._subject}.{run_id}"):
                wanted.set()
            yield wanted
        finally:
            self._waiting.pop(str(run_id), None)
