"""What a schedule will run into: its coming backups beside those of every other schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import ARRAY, Row, Text, cast, func, literal, or_, select, true, union
from sqlalchemy.dialects.postgresql import UUID as UUID_SQL

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.rights import Right
from services.gateway.schedule_inputs import NewSchedule
from services.gateway.schedule_reach import Reached, seen_schedules
from shared.readmodel.tables import backups, blackouts, databases, schedules, servers
from shared.timetable.blackouts import Blackout, closed_by, free_from
from shared.timetable.conflicts import HIDDEN, Conflict, Forecast, Room, conflicts
from shared.timetable.cron import Cron, parsed
from shared.timetable.missed import Missed
from shared.timetable.slots import slots, starts_at, zone_of

FORESEEN_DATABASES = 200
OTHERS = 2000
"""How many databases of other schedules are looked at: the same ones, then those of our servers."""
SLOTS_AT_ONCE = 20
"""How many slots of another schedule count around one of ours."""
STORE_AT_ONCE = 8
"""Nothing keeps more than that from writing into one store, but they share what it can take."""
RECENT = 5
UNKNOWN = timedelta(minutes=5)
"""How long a backup is thought to take that was never made."""
LONGEST = timedelta(hours=24)
MOMENT = timedelta(microseconds=1)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A database that is to be backed up, and where it is worked on."""

    database_id: UUID
    server_id: UUID
    pool: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule, as far as it says when its backups start and where they go first."""

    schedule_id: str
    name: str
    cron: Cron
    zone: ZoneInfo
    jitter_s: int
    skips: bool
    windows: Sequence[Blackout]
    store_id: str

    def forecasts(
        self,
        places: Iterable[Place],
        coming: Iterable[datetime],
        lasting: Mapping[UUID, timedelta],
    ) -> Iterator[Forecast]:
        """Its backups of the slots `coming`, each as long as the last ones took."""
        known = list(places)
        for slot in coming:
            if self.skips and closed_by(slot, self.windows):
                continue
            free = free_from(slot, self.windows)
            for one in known:
                start = max(free, starts_at(slot, self.jitter_s, self.schedule_id, one.database_id))
                yield Forecast(
                    schedule_id=self.schedule_id,
                    schedule_name=self.name,
                    database_id=one.database_id,
                    server_id=one.server_id,
                    pool=one.pool,
                    store_id=self.store_id,
                    start=start,
                    end=start + lasting.get(one.database_id, UNKNOWN),
                )


async def foreseen_conflicts(  # noqa: PLR0913, PLR0917 - what a forecast is made of
    deps: Dependencies,
    caller: Caller,
    schedule_id: str,
    data: NewSchedule,
    found: Sequence[Reached],
    coming: Sequence[datetime],
) -> list[Conflict]:
    """What the slots `coming` of a schedule run into, saved or not.

    Of other schedules those count that are on; a name that the caller may not see is not told.
    """
    windows = await blackouts_of(deps, data.blackout_ids)
    closed = [slot for slot in coming if closed_by(slot, windows)]
    plan = Plan(
        schedule_id=schedule_id,
        name=data.name,
        cron=parsed(data.cron),
        zone=zone_of(data.time_zone),
        jitter_s=data.jitter_s,
        skips=data.missed == Missed.SKIP.value,
        windows=windows,
        store_id=data.targets[0].store_id,
    )
    looked = found[:FORESEEN_DATABASES]
    mine = [
        Place(database_id=one.database.id, server_id=one.database.server_id, pool=one.pool)
        for one in looked
    ]
    beside = await _beside(deps, plan, mine) if mine and coming else []
    every = {one.database_id for one in mine} | {row.database_id for row in beside}
    lasting = await _durations(deps, sorted(every))
    others = await _plans(deps, caller, beside)
    room = Room(
        servers={one.database.server_id: one.run_limit for one in looked},
        pool=deps.settings.pool_limit,
        store=STORE_AT_ONCE,
    )

    def judge() -> list[Conflict]:
        own = list(plan.forecasts(mine, coming, lasting))
        return conflicts(own, _meanwhile(own, others, lasting), room, closed)

    return await asyncio.to_thread(judge)


async def blackouts_of(deps: Dependencies, ids: Iterable[str]) -> list[Blackout]:
    """The windows with these ids that are on."""
    wanted = sorted(set(ids))
    query = select(blackouts).where(blackouts.c.id.in_(wanted), blackouts.c.enabled)
    return [
        Blackout(id=row.id, cron=parsed(row.cron), zone=zone_of(row.time_zone), minutes=row.minutes)
        for row in (await deps.read_model.rows(query) if wanted else [])
    ]


def _meanwhile(
    own: Sequence[Forecast],
    others: Iterable[tuple[Plan, Sequence[Place]]],
    lasting: Mapping[UUID, timedelta],
) -> Iterator[Forecast]:
    """What other schedules do around the backups in `own`."""
    for plan, places in others:
        longest = max(lasting.get(one.database_id, UNKNOWN) for one in places)
        back = min(longest, LONGEST) + timedelta(seconds=plan.jitter_s)
        for begin, end in _spans(own, back):
            every = slots(plan.cron, plan.zone, begin - MOMENT)
            inside = takewhile(lambda slot: slot < end, every)  # noqa: B023 - used before it changes
            yield from plan.forecasts(places, islice(inside, SLOTS_AT_ONCE), lasting)


def _spans(own: Sequence[Forecast], back: timedelta) -> list[tuple[datetime, datetime]]:
    """The times in which something that started meets one of `own`, without overlaps."""
    spans: list[tuple[datetime, datetime]] = []
    for begin, end in sorted((one.start - back, one.end) for one in own):
        if spans and begin <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((begin, end))
    return spans


async def _beside(deps: Dependencies, plan: Plan, mine: Sequence[Place]) -> Sequence[Row[Any]]:
    """A row for every database of another schedule that shares a server, pool or store with ours.

    One that chooses by group or tag counts for what it reaches now.
    """
    pairs = _pairs().subquery("pairs")
    same_database = databases.c.id.in_([one.database_id for one in mine])
    same_server = databases.c.server_id.in_({one.server_id for one in mine})
    same_pool = servers.c.pool.in_({one.pool for one in mine})
    same_store = schedules.c.targets[0]["store_id"].astext == plan.store_id
    query = (
        select(
            schedules,
            databases.c.id.label("database_id"),
            databases.c.server_id,
            servers.c.pool,
        )
        .select_from(pairs)
        .join(schedules, schedules.c.id == pairs.c.schedule_id)
        .join(databases, databases.c.id == pairs.c.database_id)
        .join(servers, servers.c.id == cast(databases.c.server_id, Text))
        .where(
            ~schedules.c.paused,
            schedules.c.id != plan.schedule_id,
            or_(same_database, same_server, same_pool, same_store),
        )
        .order_by(same_database.desc(), same_server.desc(), schedules.c.id, databases.c.id)
        .limit(OTHERS)
    )
    return await deps.read_model.rows(query)


def _pairs() -> Any:
    """Every schedule with every database that it reaches: by id, by group, by tag; each once."""
    named, tag = _elements(schedules.c.database_ids, "named"), _elements(schedules.c.tags, "tag")
    tagged = _elements(databases.c.tags, "tagged")
    group, member = _elements(schedules.c.group_ids, "grp"), _elements(servers.c.group_ids, "mbr")
    pair = select(schedules.c.id.label("schedule_id"), databases.c.id.label("database_id"))
    by_id = pair.select_from(schedules.join(named, true())).join(
        databases, cast(databases.c.id, Text) == named.c.value
    )
    by_tag = pair.select_from(schedules.join(tag, true())).join(
        databases.join(tagged, true()), tagged.c.value == tag.c.value
    )
    by_group = (
        pair.select_from(schedules.join(group, true()))
        .join(servers.join(member, true()), member.c.value == group.c.value)
        .join(databases, cast(databases.c.server_id, Text) == servers.c.id)
    )
    return union(by_id, by_tag, by_group)


def _elements(column: Any, name: str) -> Any:
    return func.jsonb_array_elements_text(column).table_valued("value").lateral(name)


async def _plans(
    deps: Dependencies, caller: Caller, rows: Sequence[Row[Any]]
) -> list[tuple[Plan, Sequence[Place]]]:
    """The schedules of the rows, each with its databases."""
    mine = seen_schedules(caller, Right.SCHEDULES_READ)
    query = select(schedules.c.id).where(mine, schedules.c.id.in_({row.id for row in rows}))
    seen = {row.id for row in await deps.read_model.rows(query)} if rows else set()
    windows = await blackouts_of(deps, {one for row in rows for one in row.blackout_ids})
    places: dict[str, list[Place]] = {}
    plans: dict[str, Plan] = {}
    for row in rows:
        if row.id not in plans:
            try:
                plans[row.id] = _plan(row, windows, seen=row.id in seen)
            except ValueError:
                continue  # nobody can follow it, and the scheduler has said so
        place = Place(database_id=row.database_id, server_id=row.server_id, pool=row.pool)
        places.setdefault(row.id, []).append(place)
    return [(plans[key], found) for key, found in places.items()]


def _plan(row: Row[Any], windows: Sequence[Blackout], *, seen: bool) -> Plan:
    return Plan(
        schedule_id=row.id,
        name=row.name if seen else HIDDEN,
        cron=parsed(row.cron),
        zone=zone_of(row.time_zone),
        jitter_s=row.jitter_s,
        skips=row.missed == Missed.SKIP.value,
        windows=[one for one in windows if one.id in row.blackout_ids],
        store_id=row.targets[0]["store_id"],
    )


async def _durations(deps: Dependencies, ids: Sequence[UUID]) -> dict[UUID, timedelta]:
    """The median of how long the last backups of each database took."""
    if not ids:
        return {}
    given = func.unnest(literal(ids, ARRAY(UUID_SQL(as_uuid=True))))
    wanted = given.table_valued("id").render_derived(name="wanted")
    took = func.extract("epoch", backups.c.completed_at - backups.c.started_at)
    recent = (
        select(took.label("seconds"))
        .where(backups.c.database_id == wanted.c.id, backups.c.completed_at.is_not(None))
        .order_by(backups.c.requested_at.desc())
        .limit(RECENT)
        .lateral("recent")
    )
    median = func.percentile_cont(0.5).within_group(recent.c.seconds.asc()).label("median")
    query = (
        select(wanted.c.id, median).select_from(wanted.join(recent, true())).group_by(wanted.c.id)
    )
    return {
        row.id: timedelta(seconds=float(row.median or 0))
        for row in await deps.read_model.rows(query)
    }
