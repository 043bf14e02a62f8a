"""Notices when the clock that dates the log is set back: then its times cannot be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from services.auditor.ledger import Record
from shared.bus import Bus, Expect, WrongSequenceError
from shared.messages.base import consequence
from shared.messages.facts import LogClockTurnedBack

TOLERANCE = timedelta(seconds=30)
"""How far the clocks of the servers of one cluster may lie apart when the leader changes."""


class ClockWatch:
    """Compares when events were stored. Each turn is said once, however often it is seen."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._newest: datetime | None = None
        self._turns: asyncio.Queue[LogClockTurnedBack] = asyncio.Queue()

    async def wrote(self, records: Sequence[Record]) -> None:
        """Hear of events that were just committed, in order."""
        for record in records:
            stored = record.event.at
            if self._newest is not None and stored < self._newest - TOLERANCE:
                self._turns.put_nowait(_turn(record, self._newest))
                self._newest = stored  # from here on, this is the time
            self._newest = stored if self._newest is None else max(self._newest, stored)

    async def work(self) -> None:
        """Say what was noticed, for ever."""
        while True:
            turn = await self._turns.get()
            with suppress(WrongSequenceError):  # it was said before
                await self._bus.append(turn, expect=Expect(0))
            self._turns.task_done()

    async def said(self) -> None:
        """Wait until everything that was noticed is said."""
        await self._turns.join()


def _turn(record: Record, before: datetime) -> LogClockTurnedBack:
    about = consequence(UUID(int=record.event.seq), f"clock {record.event.at}")
    return LogClockTurnedBack(
        id=about,
        incident_id=about,
        actor="service:auditor",
        at_seq=record.event.seq,
        before=before,
        after=record.event.at,
    )
