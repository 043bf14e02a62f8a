"""Delivering notes: each to the end, once, and no receiver at the cost of another."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import msgspec

from services.notifier.channels import open_channel
from services.notifier.channels.base import NotAcceptedError, Note, ReceiverGoneError
from services.notifier.rules import Listener
from services.notifier.schedule import wait_s
from shared import trace
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import PlatformError, UnavailableError
from shared.keys.plugins import open_config
from shared.keys.vault import Vault
from shared.messages.base import consequence, now
from shared.messages.facts import ChannelDisabled, NotificationFailed, NotificationSent
from shared.messages.facts.notifications import NotificationFact
from shared.messages.values import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_ONCE = 4
"""Notes on their way to one channel at a time."""

PATIENCE_S = 1.0
"""How long a note waits for its channel's turn before it steps back for others."""


class NotYetError(UnavailableError):
    """The note waits for its next try; the delivery is to come again."""

    code = "notification.waiting"


class Progress(msgspec.Struct, frozen=True):
    """How often a note was tried, when (monotonic seconds) it may be again, and whether the
    receiver has it: then only the fact is missing."""

    tries: int = 0
    due_at: float = 0.0
    accepted: bool = False


class Delivering(msgspec.Struct, frozen=True, kw_only=True):
    """One note on its way to one channel. `once`: it is not tried again."""

    id: UUID
    note: Note
    listener: Listener
    fact_id: UUID
    fact_type: str
    at: datetime
    purpose: str = "fact"
    facts: int = 1
    caused_by: UUID | None = None
    request_id: str = ""
    once: bool = False


class Courier:
    """Sends notes and says how that ended."""

    def __init__(
        self,
        bus: Bus,
        vault: Vault,
        *,
        allow_loopback: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus, self._vault = bus, vault
        self._allow_loopback, self._clock = allow_loopback, clock
        self._progress: dict[UUID, Progress] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._silent: set[str] = set()

    async def deliver(self, one: Delivering) -> None:
        """Bring `one` to its end; NotYetError: it is to be tried again later."""
        if self._clock() < self._progress.get(one.id, Progress()).due_at:
            raise NotYetError("the next try is not due yet")
        if not await self._bus.last_of(_endings(one.id)):
            async with self._turn(one.listener.id):
                await self._try(one)
        self._progress.pop(one.id, None)

    @asynccontextmanager
    async def _turn(self, channel_id: str) -> AsyncIterator[None]:
        turns = self._turns.setdefault(channel_id, asyncio.Semaphore(AT_ONCE))
        if turns.locked() and channel_id in self._silent:
            raise NotYetError("the channel's receiver takes nothing at the moment")
        try:
            async with asyncio.timeout(PATIENCE_S):
                await turns.acquire()
        except TimeoutError:
            self._silent.add(channel_id)  # until a note is accepted: the next ones need not wait
            raise NotYetError("the channel is busy") from None
        try:
            yield
        finally:
            turns.release()

    async def _try(self, one: Delivering) -> None:
        before = self._progress.get(one.id, Progress())
        tries = before.tries + 1
        try:
            if not before.accepted:
                await self._send(one)
        except NotAcceptedError as error:
            self._silent.add(one.listener.id)
            await self._put_off(one, tries, error)
        except PlatformError as error:
            if error.retryable:
                raise
            await self._give_up(one, tries, error)
        else:
            self._silent.discard(one.listener.id)
            # Remembered, so that a cut before the fact is stored does not send twice.
            self._progress[one.id] = Progress(before.tries, accepted=True)
            await self._end(NotificationSent(**_about(one), tries=tries))

    async def _send(self, one: Delivering) -> None:
        subject = f"cfg.channel.{one.listener.id}"
        config = await open_config(self._vault, subject, "channel", one.listener.channel)
        channel = open_channel(msgspec.json.encode(config))
        with trace.step(f"notify by {type(channel).__name__.lower()}"):
            await channel.send(one.note, allow_loopback=self._allow_loopback)

    async def _put_off(self, one: Delivering, tries: int, error: NotAcceptedError) -> None:
        pause_s = None if one.once else self._pause_s(one, tries, error)
        if pause_s is None:
            await self._give_up(one, tries, error)
        else:
            self._progress[one.id] = Progress(tries, self._clock() + pause_s)
            raise NotYetError(error.cause) from error

    def _pause_s(self, one: Delivering, tries: int, error: NotAcceptedError) -> float | None:
        return wait_s(
            tries,
            age_s=(now() - one.at).total_seconds(),
            retry_after_s=error.retry_after_s,
            chance=random.random(),  # noqa: S311 - spreads load, hides nothing
        )

    async def _give_up(self, one: Delivering, tries: int, error: PlatformError) -> None:
        problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
        if isinstance(error, ReceiverGoneError):
            await self._disable(one, problem)
        await self._end(NotificationFailed(**_about(one), tries=tries, problem=problem))

    async def _disable(self, one: Delivering, problem: Problem) -> None:
        """Say that the channel's receiver is gone, once for each version of the channel."""
        fact = ChannelDisabled(
            id=uuid5(one.id, "disabled"),
            actor="service:notifier",
            caused_by=one.caused_by,
            channel_id=one.listener.id,
            version=one.listener.version,
            problem=problem,
        )
        last = await self._bus.last_of(fact.subject)
        said = last[-1].message if last else None
        if isinstance(said, ChannelDisabled) and said.version == fact.version:
            return
        with suppress(WrongSequenceError):  # another note of the channel was faster
            await self._bus.append(fact, expect=Expect(last[-1].seq if last else 0))

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
        "caused_by": one.caused_by,
        "request_id": one.request_id,
        "notification_id": one.id,
        "channel_id": one.listener.id,
        "fact_id": one.fact_id,
        "fact_type": one.fact_type,
        "purpose": one.purpose,
        "facts": one.facts,
    }
