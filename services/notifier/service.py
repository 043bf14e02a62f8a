"""The notifier: tells channels what their rules want to hear, each fact once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from services.notifier.book import Book
from services.notifier.channels import AnyChannel, open_channel
from services.notifier.channels.base import NotAcceptedError
from services.notifier.schedule import wait_s
from services.notifier.settings import Settings
from services.notifier.wording import note
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.bus.base import EVENTS
from shared.errors import PlatformError, UnavailableError
from shared.keys.plugins import open_config
from shared.keys.vault import Vault
from shared.messages.base import Fact, consequence, now
from shared.messages.facts import NotificationFact, NotificationFailed, NotificationSent
from shared.messages.settings import ChannelSetting
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
    channel: ChannelSetting
    said_at: datetime


class Notifier:
    """Hears the facts once per channel, each by a durable of its own: a receiver that hangs or is
    down holds up its own notes only, and what is not delivered survives a restart."""

    def __init__(
        self,
        bus: Bus,
        vault: Vault,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus, self._vault, self._settings = bus, vault, settings
        self._clock = clock
        self._book = Book(bus)
        self._progress: dict[UUID, Progress] = {}

    async def listen(self) -> None:
        """Announce the channels, then serve each of them for ever."""
        await announce(self._bus, "channel", AnyChannel)
        async with asyncio.TaskGroup() as group:
            async for channel_id in self._book.read():
                group.create_task(self._serve(channel_id))

    async def _serve(self, channel_id: str) -> None:
        handler = partial(self.on_fact, channel_id)
        durable = f"notifier-{channel_id}"
        await self._bus.work(durable, EVENTS, ("evt.>",), handler, parallel=AT_ONCE)

    async def on_fact(self, channel_id: str, delivery: Delivery) -> None:
        """Tell the channel, if it wants the fact and was not told; NotYetError: again later."""
        fact = delivery.message
        await self._book.at_least(delivery.seq)
        if not isinstance(fact, Fact):
            return
        channel = self._book.wanted(channel_id, fact.type, delivery.seq)
        if channel is None:
            return
        note_id = consequence(fact.id, channel_id)
        if self._clock() < self._progress.get(note_id, Progress()).due_at:
            raise NotYetError("the next try is not due yet")
        if not await self._bus.last_of(_endings(note_id)):
            await self._deliver(Delivering(note_id, fact, channel, delivery.at))
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
        channel = one.channel
        config = await open_config(self._vault, channel.subject, "channel", channel.channel)
        opened = open_channel(msgspec.json.encode(config))
        words = note(one.fact, one.id, source=SOURCE)
        await opened.send(words, allow_loopback=self._settings.notifier_allow_loopback)

    async def _put_off(self, one: Delivering, tries: int, error: NotAcceptedError) -> None:
        pause_s = wait_s(
            tries,
            age_s=(now() - one.said_at).total_seconds(),
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
        "channel_id": one.channel.key,
        "fact_id": one.fact.id,
        "fact_type": one.fact.type,
    }
