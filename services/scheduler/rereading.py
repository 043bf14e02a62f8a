"""Deep verifications by age: every backup is read with its keys from time to time, one by one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import func, select

from services.scheduler.clock import THE_CLOCK, Clock
from services.scheduler.orders import ACTOR
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import UnavailableError
from shared.messages.base import consequence
from shared.messages.facts import RestoreRequested
from shared.messages.values import DatabaseRef
from shared.readmodel.reader import ReadModel
from shared.readmodel.standing import is_good
from shared.readmodel.tables import backups, restores, servers

LOOK_EVERY_S = 300.0
TRY_AGAIN = timedelta(days=1)
"""After a verification that came to no verdict, because the store was away."""
_OPEN = ("requested", "running")


class Oldest(msgspec.Struct, frozen=True, kw_only=True):
    """The backup that was read longest ago, and since when that is so."""

    backup_id: UUID
    database: DatabaseRef
    pool: str
    since: datetime


class Unread(Protocol):
    """Where it is looked up; every method raises UnavailableError while it cannot."""

    async def under_way(self) -> bool:
        """Whether one is being read, or is to be."""

    async def oldest(self, before: datetime, skipped: set[UUID]) -> Oldest | None:
        """The good backup that was read longest ago, never or before a time."""


def requested(one: Oldest, every: timedelta, now: datetime) -> RestoreRequested:
    """Under the same id for a day, or a cycle, whoever says it."""
    span = min(every, TRY_AGAIN).total_seconds()
    identity = uuid5(
        one.backup_id, f"deep\n{one.since.isoformat()}\n{int(now.timestamp() // span)}"
    )
    return RestoreRequested(
        id=consequence(identity, "requested"),
        actor=ACTOR,
        restore_id=identity,
        run_id=consequence(identity, "run"),
        backup_id=one.backup_id,
        target=one.database,
        run_pool=one.pool,
        reason="read with its keys, as every backup from time to time",
        deep=True,
    )


class Rereader:
    """Asks for one after the other, as long as it leads; a gentle pace is the executor's."""

    def __init__(
        self,
        bus: Bus,
        unread: Unread,
        every_s: float,
        clock: Clock = THE_CLOCK,
        *,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._bus, self._unread, self._clock = bus, unread, clock
        self._every, self._look_every_s = timedelta(seconds=every_s), look_every_s
        self._skipped: set[UUID] = set()
        self._span = 0

    async def keep(self) -> None:
        """For ever; not at once, since there is more to do when a scheduler begins."""
        while self._every:
            await asyncio.sleep(min(self._look_every_s, self._every.total_seconds()))
            with suppress(UnavailableError):  # the next look finds the same
                await self.look()
        await asyncio.Event().wait()

    async def look(self) -> None:
        """Ask for the next one that is due, unless one is under way."""
        if await self._unread.under_way():
            return
        now = self._clock.now()
        span = int(now.timestamp() // min(self._every, TRY_AGAIN).total_seconds())
        if span != self._span:
            self._span, self._skipped = span, set()
        while one := await self._unread.oldest(now - self._every, self._skipped):
            try:
                await self._bus.append(requested(one, self._every, now), expect=Expect(0))
            except WrongSequenceError:  # it was tried today, and came to no verdict
                self._skipped.add(one.backup_id)
            else:
                return


class ReadModelUnread:
    """The same from Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def under_way(self) -> bool:
        query = select(restores.c.id).where(restores.c.deep, restores.c.status.in_(_OPEN))
        return await self._read_model.one(query.limit(1)) is not None

    async def oldest(self, before: datetime, skipped: set[UUID]) -> Oldest | None:
        of = backups.c
        since = func.coalesce(of.deep_verified_at, of.completed_at)
        query = (
            select(
                *(of.id, of.server_id, of.endpoint, of.database_name, servers.c.pool),
                since.label("since"),
            )
            .join(servers, servers.c.id == of.server_id.cast(servers.c.id.type))
            .where(
                is_good(),
                of.deep_verified_at.is_(None) | (of.deep_verified_at <= before),
                of.id.not_in(skipped),
            )
            .order_by(since, of.id)
            .limit(1)
        )
        row = await self._read_model.one(query)
        if row is None:
            return None
        named = DatabaseRef(server_id=row.server_id, endpoint=row.endpoint, name=row.database_name)
        return Oldest(backup_id=row.id, database=named, pool=row.pool, since=row.since)
