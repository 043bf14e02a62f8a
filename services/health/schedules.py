"""Says of a schedule that it was not kept, and when it is again; no scheduler need live for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, Text, cast, func, select, true

from services.health.probes import ACTOR
from services.health.slots import Kept, is_kept_again, unkept
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import UnavailableError
from shared.messages.base import now
from shared.messages.facts import ScheduleCaughtUp, ScheduleMissed
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import backups, blackouts, schedules
from shared.timetable.blackouts import Blackout
from shared.timetable.cron import parsed
from shared.timetable.missed import Missed
from shared.timetable.slots import zone_of

LOOK_EVERY_S = 60.0
SUBJECT = "evt.schedule.*.core."
NOTHING_TO_DO = "schedule.no_database"
"""What the scheduler says of a schedule that no database matches."""
DATABASE_GONE = "schedule.database_gone"
"""What it says of one that names a database that is not there any more."""


class Calendar(Protocol):
    """Where the schedules are known; raises UnavailableError while they are not."""

    async def kept(self) -> list[Kept]:
        """Every schedule that is on and has something to back up."""


class ReadModelCalendar:
    """From Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def kept(self) -> list[Kept]:
        windows = {row.id: row for row in await self._read_model.rows(select(blackouts))}
        newest = (
            select(func.max(backups.c.slot).label("last"))
            .where(backups.c.schedule_id == schedules.c.id)
            .correlate(schedules)
            .lateral("newest")
        )
        requested = (
            select(func.array_agg(cast(backups.c.database_id, Text)).label("ids"))
            .where(backups.c.schedule_id == schedules.c.id, backups.c.slot == newest.c.last)
            .correlate(schedules, newest)
            .lateral("requested")
        )
        query = (
            select(schedules, newest.c.last, requested.c.ids)
            .join_from(schedules, newest, true())
            .join(requested, true())
            .where(schedules.c.paused.is_(False))
        )
        found = []
        for row in await self._read_model.rows(query):
            if row.problem and row.problem["code"] == NOTHING_TO_DO:
                continue
            with suppress(ValueError):  # nobody can follow it, and the scheduler has said so
                found.append(_kept(row, windows))
        return found


class ScheduleWatch:
    """Looks again and again; says of each schedule only what is not what was last said."""

    def __init__(
        self, bus: Bus, calendar: Calendar, *, clock: Callable[[], datetime] = now
    ) -> None:
        self._bus, self._calendar, self._clock = bus, calendar, clock
        self._missed: dict[str, tuple[int, datetime | None]] = {}

    async def watch(self) -> None:
        """For ever, while we are the active one."""
        await self.begin()
        while True:
            with suppress(UnavailableError):  # the next look finds the same
                await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def begin(self) -> None:
        """Learn what was last said of each schedule, by whomever."""
        self._missed = {}
        for delivery in await self._bus.last_of(f"{SUBJECT}*"):  # in the order of the log
            message = delivery.message
            key = str(getattr(message, "schedule_id", ""))
            _, missed = self._missed.get(key, (0, None))
            if isinstance(message, ScheduleMissed | ScheduleCaughtUp):
                missed = _missed(message)
            self._missed[key] = delivery.seq, missed

    async def look(self) -> None:
        """Say what changed."""
        kept, at = await self._calendar.kept(), self._clock()
        late = await asyncio.to_thread(_late, kept, at)
        for one in kept:
            seq, missed = self._missed.get(one.key, (0, None))
            slot = late.get(one.key)
            if slot is not None and missed is None:
                await self._say(ScheduleMissed(actor=ACTOR, schedule_id=one.key, slot=slot), seq)
            elif slot is None and missed is not None and is_kept_again(one, missed):
                await self._say(ScheduleCaughtUp(actor=ACTOR, schedule_id=one.key), seq)

    async def _say(self, fact: ScheduleMissed | ScheduleCaughtUp, seq: int) -> None:
        expect = Expect(seq, f"{SUBJECT}{fact.schedule_id}")
        try:
            appended = await self._bus.append(fact, expect=expect)
        except WrongSequenceError:  # somebody spoke of it: the next look goes on from that
            await self.begin()
            return
        self._missed[fact.schedule_id] = appended.seq, _missed(fact)


def _missed(fact: ScheduleMissed | ScheduleCaughtUp) -> datetime | None:
    return fact.slot if isinstance(fact, ScheduleMissed) else None


def _late(kept: Iterable[Kept], at: datetime) -> dict[str, datetime]:
    found = {one.key: unkept(one, at) for one in kept}
    return {key: slot for key, slot in found.items() if slot is not None}


def _kept(row: Row[Any], windows: dict[str, Row[Any]]) -> Kept:
    named = [windows[key] for key in row.blackout_ids if key in windows]
    return Kept(
        key=row.id,
        cron=parsed(row.cron),
        zone=zone_of(row.time_zone),
        jitter_s=row.jitter_s,
        missed=Missed(row.missed),
        blackouts=[_blackout(one) for one in named if one.enabled],
        since=row.updated_at,
        last=row.last,
        whole=_is_whole(row),
    )


def _is_whole(row: Row[Any]) -> bool:
    """Whether the last slot was requested of every database that is named, as far as those are
    there: the scheduler has said it when one is gone."""
    gone = row.problem is not None and row.problem["code"] == DATABASE_GONE
    return gone or {*row.database_ids} <= {*(row.ids or ())}


def _blackout(row: Row[Any]) -> Blackout:
    return Blackout(
        id=row.id, cron=parsed(row.cron), zone=zone_of(row.time_zone), minutes=row.minutes
    )
