"""Digests: what waited goes out in one note, when its time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from services.notifier.courier import Courier, Delivering, NotYetError
from services.notifier.memory import Memory
from services.notifier.subscriptions import Subscriptions
from services.notifier.writing import digest_of
from shared.bus import Bus
from shared.bus.lease import led
from shared.messages.base import now
from shared.serving import replica_name

LOOK_EVERY_S = 10.0


class Digests:
    """Looks whose time has come; one replica does, by lease, and each digest is fenced."""

    def __init__(  # noqa: PLR0913 - what it needs
        self,
        bus: Bus,
        memory: Memory,
        subscriptions: Subscriptions,
        courier: Courier,
        *,
        look_every_s: float = LOOK_EVERY_S,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._bus, self._memory = bus, memory
        self._subscriptions, self._courier = subscriptions, courier
        self._look_every_s, self._clock = look_every_s, clock

    async def send(self) -> None:
        """For ever."""
        await led(self._bus, "notifier", replica_name(), self._lead)

    async def _lead(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._look_every_s)

    async def look(self) -> None:
        """Send every digest that is due; a receiver that hangs holds up its own only."""
        found = await self._memory.due(self._clock())
        await asyncio.gather(*(self._send(rule_id, keys) for rule_id, keys in found.items()))

    async def _send(self, rule_id: str, keys: list[str]) -> None:
        gathered = await self._memory.gather(rule_id, keys)
        if gathered is None:
            return
        listener = await self._subscriptions.listening(gathered.channel_id)
        if listener is not None:
            template = await self._subscriptions.template(rule_id)
            note = await digest_of(
                gathered.id, gathered.notes, more=gathered.more, template=template
            )
            one = Delivering(
                id=gathered.id,
                note=note,
                listener=listener,
                fact_id=gathered.id,
                fact_type="digest",
                at=gathered.at,
                purpose="digest",
                facts=len(gathered.notes) + gathered.more,
            )
            with suppress(NotYetError):
                await self._courier.deliver(one)
                await self._memory.told(rule_id, gathered)
            return
        await self._memory.told(rule_id, gathered)  # nobody listens any more
