"""Restore tests by schedule: at its times, the newest backup of each of its databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid5

import msgspec
import structlog
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import distinct_on

from services.scheduler.clock import THE_CLOCK, Clock
from services.scheduler.orders import ACTOR
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import UnavailableError
from shared.messages.base import consequence
from shared.messages.facts import RestoreRequested
from shared.messages.values import DatabaseRef
from shared.readmodel.reader import ReadModel
from shared.readmodel.standing import is_good
from shared.readmodel.tables import backups, schedules, servers
from shared.timetable.cron import parsed
from shared.timetable.slots import between, zone_of

LOOK_EVERY_S = 10.0
LATE = timedelta(hours=24)
"""How old a slot may be that nobody kept, because no scheduler ran."""

_log = structlog.get_logger()


class Rehearsing(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that restores as a test; only slots after `since` are its."""

    schedule_id: str
    cron: str
    time_zone: str
    since: datetime


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest good backup of a database, and the pool that reaches its server."""

    backup_id: UUID
    database: DatabaseRef
    pool: str


class Rehearsals(Protocol):
    """Where it is looked up; every method raises UnavailableError while it cannot."""

    async def schedules(self) -> Sequence[Rehearsing]:
        """Those that restore as a test and are not paused."""

    async def newest(self, schedule_id: str) -> Sequence[Newest]:
        """Of each database that the schedule backed up in its last two slots, or by hand."""


def due(one: Rehearsing, after: datetime, now: datetime) -> datetime | None:
    """The newest slot after `after`, if there is one: of several that were missed, the last."""
    begin = max(after, one.since, now - LATE)
    passed = between(parsed(one.cron), zone_of(one.time_zone), begin, now)
    return passed[-1] if passed else None


def requested(one: Newest, schedule_id: str, slot: datetime) -> RestoreRequested:
    """What is said of a database's slot: under the same id whoever says it, and how often."""
    identity = uuid5(one.database.id, f"restore test\n{schedule_id}\n{slot.isoformat()}")
    return RestoreRequested(
        id=consequence(identity, "requested"),
        actor=ACTOR,
        restore_id=identity,
        run_id=consequence(identity, "run"),
        backup_id=one.backup_id,
        target=one.database,
        run_pool=one.pool,
        reason="the restore test of a schedule",
        test=True,
        schedule_id=schedule_id,
        slot=slot,
    )


class Rehearser:
    """Says `RestoreRequested` once for each slot and database, as long as it leads.

    Where a schedule stands is not remembered elsewhere: what was said before is refused by its id.
    """

    def __init__(
        self,
        bus: Bus,
        rehearsals: Rehearsals,
        clock: Clock = THE_CLOCK,
        *,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._bus, self._rehearsals, self._clock = bus, rehearsals, clock
        self._look_every_s = look_every_s
        self._kept: dict[str, datetime] = {}

    async def keep(self) -> None:
        """For ever."""
        self._kept = {}
        while True:
            with suppress(UnavailableError):  # the next look finds the same slots
                await self.look()
            await asyncio.sleep(self._look_every_s)

    async def look(self) -> None:
        """Request what is due."""
        now = self._clock.now()
        for one in await self._rehearsals.schedules():
            try:
                slot = due(one, self._kept.get(one.schedule_id, now - LATE), now)
            except ValueError:  # one that nobody can follow stops no other
                _log.warning("not_to_be_rehearsed", key=one.schedule_id)
                continue
            if slot is not None:
                for newest in await self._rehearsals.newest(one.schedule_id):
                    await self._say(requested(newest, one.schedule_id, slot))
                self._kept[one.schedule_id] = slot

    async def _say(self, fact: RestoreRequested) -> None:
        with suppress(WrongSequenceError):  # it was said before, or by another scheduler
            await self._bus.append(fact, expect=Expect(0))


class ReadModelRehearsals:
    """The same from Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def schedules(self) -> Sequence[Rehearsing]:
        of = schedules.c
        query = select(of.id, of.test_restore, of.time_zone, of.updated_at).where(
            of.test_restore != "", of.paused.is_(False)
        )
        return [
            Rehearsing(
                schedule_id=row.id,
                cron=row.test_restore,
                time_zone=row.time_zone,
                since=row.updated_at,
            )
            for row in await self._read_model.rows(query)
        ]

    async def newest(self, schedule_id: str) -> Sequence[Newest]:
        of = backups.c
        mine = of.schedule_id == schedule_id
        slots = select(of.slot).where(mine, of.slot.is_not(None)).distinct()
        last = await self._read_model.rows(slots.order_by(of.slot.desc()).limit(2))
        reached = select(of.database_id).where(mine)
        if last:
            reached = reached.where(of.slot.is_(None) | (of.slot >= last[-1].slot))
        query = (
            select(of.id, of.server_id, of.endpoint, of.database_name, servers.c.pool)
            .join(servers, servers.c.id == of.server_id.cast(servers.c.id.type))
            .where(
                mine,
                of.database_id.in_(reached),
                is_good(),
            )
            .order_by(of.database_id, of.taken_at.desc())
            .ext(distinct_on(of.database_id))
        )
        return [_newest(row) for row in await self._read_model.rows(query)]


def _newest(row: Row[Any]) -> Newest:
    database = DatabaseRef(server_id=row.server_id, endpoint=row.endpoint, name=row.database_name)
    return Newest(backup_id=row.id, database=database, pool=row.pool)
