"""Retention: expires what its policy no longer keeps, and takes it back when it keeps it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import structlog

from services.retention.agenda import Agenda
from services.retention.expiry import Judging, newest_setting, say_expired, say_kept
from services.retention.history import History, touched_by
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.errors import PlatformError
from shared.messages.base import now
from shared.retention.history import Histories
from shared.retention.policy import Judgement, Verdict, judged

DURABLE = "retention"
FILTERS = (
    "evt.backup.completed.*.>",
    "evt.backup.verified.*.>",
    "evt.backup.corrupted.*.>",
    "evt.backup.held.*.>",
    "evt.backup.released.*.>",
    "evt.backup.delete_requested.*.>",
    "evt.backup.undeleted.*.>",
    "evt.archive.replicated.*.>",
    "evt.archive.verified.*.>",
    "evt.archive.corrupted.*.>",
    "evt.restore.completed.*.>",
    "evt.restore.failed.*.>",
    "evt.restore.cancelled.*.>",
    "cfg.policy.>",
    "cfg.schedule.>",
    "cfg.database.>",
)
AT_ONCE = 20_000
"""About so many backups are in memory at a time; a database's are never split."""
IN_FLIGHT = 8
SOON = timedelta(seconds=0.5)
LATER_S = 5.0

Say: TypeAlias = Callable[[Bus, Verdict, Judging], Awaitable[bool]]

_log = structlog.get_logger()


class Retention:
    """Judges a database whenever something about it changes, and when time lets something expire.

    What a setting lets expire stays until a signed checkpoint of the audit log covers the setting:
    who cut the retention can be proven before anything is lost.
    """

    def __init__(
        self,
        bus: Bus,
        history: History,
        clock: Callable[[], datetime] = now,
        *,
        undo_window: timedelta = timedelta(0),
    ) -> None:
        self._bus, self._history, self._clock = bus, history, clock
        self._undo_window = undo_window
        self._agenda = Agenda()
        # Up to which event a database was judged: a backlog of events is not judged one by one.
        self._judged_seq: dict[UUID, int] = {}

    async def listen(self) -> None:
        """Judge everything once, then whatever an event touches or time brings, for ever."""
        sizes = await self._history.sizes()
        self._agenda.put_all((database_id for database_id, _ in sizes), self._clock())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bus.work(DURABLE, EVENTS, FILTERS, self.on_event))
            group.create_task(self._keep_time(dict(sizes)))

    async def on_event(self, delivery: Delivery) -> None:
        """Judge what the event touches, on the state that includes it."""
        message = delivery.message
        touched = touched_by(message)
        if touched is not None:
            await self._history.at_least(delivery.seq)
            found = await self._history.databases(touched)
            new = [one for one in found if self._judged_seq.get(one, 0) < delivery.seq]
            for some in batches(new, {}):
                await self.judge(some, cause=message.id)

    async def _keep_time(self, sizes: dict[UUID, int]) -> None:
        while True:
            due = self._agenda.due(self._clock())
            try:
                for some in batches(due, sizes):
                    await self.judge(some, cause=None)
            except PlatformError as error:
                _log.warning("judging again later", code=error.code, cause=error.cause)
                await asyncio.sleep(LATER_S)
            await self._agenda.sleep(self._clock())

    async def judge(self, database_ids: Sequence[UUID], *, cause: UUID | None) -> None:
        """Say once of each copy that no policy keeps that it expired, and of each that left and is
        kept again, before its deletion began, that it stays."""
        # Asked before the look: what they say is part of what is seen then.
        audited, seq = await self._history.audited(), await self._history.position()
        at = self._clock()
        histories = await self._history.of(database_ids)
        judgements = await asyncio.to_thread(_judged, histories, at)
        judging = Judging(cause=cause, at=at, undo_window=self._undo_window)
        for database_id, judgement in judgements.items():
            settled = await self._say_all(judgement.returning, say_kept, judging)
            settled &= await self._expire(database_id, judgement, audited, judging)
            self._agenda.put(database_id, judgement.holds_until if settled else at + SOON)
            self._judged_seq[database_id] = seq

    async def _expire(
        self,
        database_id: UUID,
        judgement: Judgement,
        audited: int,
        judging: Judging,
    ) -> bool:
        """Whether all that has to expire did."""
        expired = judgement.expired
        if not expired:
            return True
        if await newest_setting(self._bus, database_id, expired) > audited:
            return False
        return await self._say_all(expired, say_expired, judging)

    async def _say_all(self, verdicts: Sequence[Verdict], say: Say, judging: Judging) -> bool:
        settled = True
        for start in range(0, len(verdicts), IN_FLIGHT):
            some = verdicts[start : start + IN_FLIGHT]
            said = await asyncio.gather(*(say(self._bus, one, judging) for one in some))
            settled &= all(said)
        return settled


def batches(database_ids: Iterable[UUID], sizes: dict[UUID, int]) -> Iterator[list[UUID]]:
    """The databases in portions of about AT_ONCE backups; an unknown size is a small one."""
    some: list[UUID] = []
    total = 0
    for database_id in database_ids:
        some.append(database_id)
        total += sizes.get(database_id, AT_ONCE // 100)
        if total >= AT_ONCE:
            yield some
            some, total = [], 0
    if some:
        yield some


def _judged(histories: Histories, at: datetime) -> dict[UUID, Judgement]:
    return {database_id: judged(history, at) for database_id, history in histories.items()}
