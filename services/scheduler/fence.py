"""Appends what the scheduler says, and remembers how far the log is by that."""

from __future__ import annotations

from shared.bus import Bus, Expect, WrongSequenceError
from shared.messages.base import Fact, Order


class Fence:
    """Every append carries the state it was decided on; losing is an answer, not an error."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.last_seq = 0

    async def say(self, fact: Fact, expect: Expect | None) -> int | None:
        """Where the fact stands, or None when somebody said something else first."""
        try:
            appended = await self._bus.append(fact, expect=expect)
        except WrongSequenceError:
            return None
        self.last_seq = max(self.last_seq, appended.seq)
        return appended.seq

    async def order(self, order: Order) -> None:
        """Make sure that the order stands: nothing changes where it does already."""
        try:
            await self._bus.append(order, expect=Expect(0))
        except WrongSequenceError:
            return
