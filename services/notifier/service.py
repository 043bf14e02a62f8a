"""The notifier: tells channels what their rules want to hear, each fact once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from services.notifier.channels import AnyChannel, open_channel
from services.notifier.channels.base import NotAcceptedError
from services.notifier.rules import Listener
from services.notifier.schedule import wait_s
from services.notifier.slots import Slots, durable
from services.notifier.subscriptions import Subscriptions
from services.notifier.wording import note
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.bus.base import EVENTS
from shared.errors import PlatformError, UnavailableError
from shared.keys.plugins import open_config
from shared.keys.vault import Vault
from shared.messages.base import Fact, consequence, now
from shared.messages.facts import NotificationFailed, NotificationSent
from shared.messages.facts.notifications import NotificationFact
from shared.messages.values import Problem
from shared.plugins import announce

AT_ONCE = 4
SOURCE = "/holdfast"


class NotYetError(UnavailableError):
    """The note waits for its next try; the delivery is to come again."""

    code = "notification.waiting"


class Progress(msgspec.Struct, frozen=True):
    """How often a note was tried, when (monotonic seconds) it may be again, and whether the
    receiver has it: then only the fact is missing."""

    tries: int = 0
    due_at: float = 0.0
    accepted: bool = False


class Delivering(msgspec.Struct, frozen=True):
    """One fact on its way to one channel."""

    id: UUID
    fact: Fact
    listener: Listener


class Notifier:
    """Each channel hears the facts by a durable: a receiver that hangs or is down holds up its
    own notes only, and what is not delivered survives a restart."""

    def __init__(
        self,
        bus: Bus,
        vault: Vault,
        subscriptions: Subscriptions,
        *,
        allow_loopback: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus, self._vault, self._subscriptions = bus, vault, subscriptions
        self._allow_loopback, self._clock = allow_loopback, clock
        self._slots = Slots(bus)
        self._progress: dict[UUID, Progress] = {}

    async def listen(self) -> None:
        """Announce the channels, then serve each slot that has one, for ever."""
        await announce(self._bus, "channel", AnyChannel)
        async with asyncio.TaskGroup() as group:
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
        hearers = await self._subscriptions.hearers(fact, delivery.seq)
        ours = [one for one in hearers if await self._slots.of(one.id) == slot]
        told = await asyncio.gather(
            *(self._tell(one, fact) for one in ours), return_exceptions=True
        )
        for problem in told:
            if problem is not None:
                raise problem

    async def _tell(self, listener: Listener, fact: Fact) -> None:
        note_id = consequence(fact.id, listener.id)
        if self._clock() < self._progress.get(note_id, Progress()).due_at:
            raise NotYetError("the next try is not due yet")
        if not await self._bus.last_of(_endings(note_id)):
            await self._deliver(Delivering(note_id, fact, listener))
        self._progress.pop(note_id, None)

    async def _deliver(self, one: Delivering) -> None:
        before = self._progress.get(one.id, Progress())
        tries = before.tries + 1
        try:
            if not before.accepted:
                await self._send(one)
        except NotAcceptedError as error:
            await self._put_off(one, tries, error)
        except PlatformError as error:
            if error.retryable:
                raise
            await self._give_up(one, tries, error)
        else:
            # Remembered, so that a cut before the fact is stored does not send twice.
            self._progress[one.id] = Progress(before.tries, accepted=True)
            await self._end(NotificationSent(**_about(one), tries=tries))

    async def _send(self, one: Delivering) -> None:
        listener = one.listener
        subject = f"cfg.channel.{listener.id}"
        config = await open_config(self._vault, subject, "channel", listener.channel)
        channel = open_channel(msgspec.json.encode(config))
        words = note(one.fact, one.id, source=SOURCE)
        await channel.send(words, allow_loopback=self._allow_loopback)

    async def _put_off(self, one: Delivering, tries: int, error: NotAcceptedError) -> None:
        pause_s = wait_s(
            tries,
            age_s=(now() - one.fact.at).total_seconds(),
            retry_after_s=error.retry_after_s,
            chance=random.random(),  # noqa: S311 - spreads load, hides nothing
        )
        if pause_s is None:
            await self._give_up(one, tries, error)
        else:
            self._progress[one.id] = Progress(tries, self._clock() + pause_s)
            raise NotYetError(error.cause) from error

    async def _give_up(self, one: Delivering, tries: int, error: PlatformError) -> None:
        problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
        await self._end(NotificationFailed(**_about(one), tries=tries, problem=problem))

    async def _end(self, fact: NotificationFact) -> None:
        """Exactly one ending: a second one loses against the first."""
        with suppress(WrongSequenceError):
            await self._bus.append(fact, expect=Expect(0, _endings(fact.notification_id)))


def _endings(note_id: UUID) -> str:
    return f"evt.notification.*.core.{note_id}"


def _about(one: Delivering) -> dict[str, Any]:
    return {
        "id": consequence(one.id, "ended"),
        "actor": "service:notifier",
        "caused_by": one.fact.id,
        "request_id": one.fact.request_id,
        "notification_id": one.id,
        "channel_id": one.listener.id,
        "fact_id": one.fact.id,
        "fact_type": one.fact.type,
    }
