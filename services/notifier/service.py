"""The notifier: tells channels what their rules want to hear, each fact once."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from services.notifier.channels import AnyChannel
from services.notifier.courier import Courier, Delivering
from services.notifier.deciding import Decided, Deciding
from services.notifier.digests import LOOK_EVERY_S, Digests
from services.notifier.memory import Memory
from services.notifier.rules import wants
from services.notifier.slots import Slots, durable
from services.notifier.subscriptions import Subscriptions
from services.notifier.troubles import may_end
from services.notifier.writing import note_of
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.keys.vault import Vault
from shared.messages.base import Fact, consequence
from shared.messages.facts import ChannelTestRequested, RedeliveryRequested
from shared.notices.about import About
from shared.plugins import announce

AT_ONCE = 32


class Notifier:
    """Each channel hears the facts by a durable: a receiver that hangs or is down holds up its
    own notes only, and what is not delivered survives a restart."""

    def __init__(  # noqa: PLR0913 - what it needs
        self,
        bus: Bus,
        vault: Vault,
        subscriptions: Subscriptions,
        *,
        allow_loopback: bool,
        clock: Callable[[], float] = time.monotonic,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._bus, self._subscriptions = bus, subscriptions
        self._slots = Slots(bus)
        memory = Memory(bus)
        self._deciding = Deciding(memory)
        self._courier = Courier(bus, vault, allow_loopback=allow_loopback, clock=clock)
        self._digests = Digests(
            bus, memory, subscriptions, self._courier, look_every_s=look_every_s
        )
        self._in_order: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def listen(self) -> None:
        """Announce the channels, then serve each slot that has one, for ever."""
        await announce(self._bus, "channel", AnyChannel)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._digests.send())
            async for slot in self._slots.taken():
                handler = partial(self.on_fact, slot)
                group.create_task(
                    self._bus.work(durable(slot), EVENTS, ("evt.>",), handler, parallel=AT_ONCE)
                )

    async def on_fact(self, slot: int, delivery: Delivery) -> None:
        """Tell the slot's channels that want the fact; NotYetError: some are to be tried again."""
        fact = delivery.message
        if not isinstance(fact, Fact):
            return
        if isinstance(fact, ChannelTestRequested):
            notes = await self._test(slot, fact, delivery.seq)
        elif isinstance(fact, RedeliveryRequested):
            notes = await self._again(slot, fact, delivery.seq)
        else:
            async with self._in_order[slot]:  # a failure before the success that ends it
                notes = await self._wanted(slot, fact, delivery.seq)
        told = await asyncio.gather(
            *(self._courier.deliver(one) for one in notes), return_exceptions=True
        )
        for problem in told:
            if problem is not None:
                raise problem

    async def _wanted(self, slot: int, fact: Fact, seq: int) -> list[Delivering]:
        concerned = await self._subscriptions.to(fact, seq)
        ours = [one for one in concerned if await self._slots.of(one.listener.id) == slot]
        if not (may_end(fact) and ours) and not any(wants(one.rule, fact) for one in ours):
            return []
        about = await self._subscriptions.about(fact)
        decided = await self._deciding.decided(fact, seq, about, ours)
        return [await self._telling(fact, about, one) for one in decided]

    async def _telling(self, fact: Fact, about: About, one: Decided) -> Delivering:
        listener = one.subscription.listener
        note_id = consequence(fact.id, listener.id)
        note = await note_of(
            note_id,
            fact,
            about=about,
            template=one.subscription.rule.template,
            recovered=one.answer.recovered,
            count=one.answer.count,
        )
        return Delivering(
            id=note_id,
            note=note,
            listener=listener,
            fact_id=fact.id,
            fact_type=fact.type,
            at=fact.at,
            purpose="recovered" if one.answer.recovered else "fact",
            caused_by=fact.id,
            request_id=fact.request_id,
        )

    async def _test(self, slot: int, fact: ChannelTestRequested, seq: int) -> list[Delivering]:
        listener = await self._subscriptions.channel(fact.channel_id, seq)
        if listener is None or await self._slots.of(listener.id) != slot:
            return []
        one = Delivering(
            id=fact.notification_id,
            note=await note_of(fact.notification_id, fact),
            listener=listener,
            fact_id=fact.id,
            fact_type=fact.type,
            at=fact.at,
            purpose="test",
            caused_by=fact.id,
            request_id=fact.request_id,
            once=True,
        )
        return [one]

    async def _again(self, slot: int, fact: RedeliveryRequested, seq: int) -> list[Delivering]:
        listener = await self._subscriptions.channel(fact.channel_id, seq)
        told = await self._subscriptions.fact(fact.fact_id)
        if listener is None or told is None or await self._slots.of(listener.id) != slot:
            return []
        about = await self._subscriptions.about(told)
        # Under the id of the first delivery: a receiver can tell that it had it already.
        note = await note_of(fact.notification_id, told, about=about)
        one = Delivering(
            id=fact.redelivery_id,
            note=note,
            listener=listener,
            fact_id=fact.fact_id,
            fact_type=fact.fact_type,
            at=fact.at,
            purpose="redelivery",
            caused_by=fact.id,
            request_id=fact.request_id,
        )
        return [one]
