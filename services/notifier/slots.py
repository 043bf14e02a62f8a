"""Which durable serves which channel: few enough for an allow-list, apart enough to be fair."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from shared.bus import Bus
from shared.bus.base import EVENTS

SLOTS = 8
"""`notifier-0` to `notifier-7`. Only from the ninth channel on do two share one."""


def durable(slot: int) -> str:
    return f"notifier-{slot}"


class Slots:
    """Channels take slots in turn, in the order of the log: the same at every start."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._taken: dict[str, int] = {}
        self._grown = asyncio.Condition()

    async def taken(self) -> AsyncIterator[int]:
        """Each slot as soon as a first channel takes it, for ever."""
        async for delivery in self._bus.follow(EVENTS, after_seq=0, filters=("cfg.channel.>",)):
            channel_id = delivery.subject.rsplit(".", 1)[-1]
            if channel_id in self._taken:
                continue
            async with self._grown:
                ordinal = len(self._taken)
                self._taken[channel_id] = ordinal % SLOTS
                self._grown.notify_all()
            if ordinal < SLOTS:
                yield ordinal

    async def of(self, channel_id: str) -> int:
        """The channel's slot; waits for a channel that is in the log to be seen."""
        async with self._grown:
            await self._grown.wait_for(lambda: channel_id in self._taken)
        return self._taken[channel_id]
