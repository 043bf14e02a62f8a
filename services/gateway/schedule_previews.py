"""What a schedule would do: its next runs, what they run into, what the policies would keep."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, or_, select

from services.gateway.dependencies import Dependencies
from services.gateway.schedule_inputs import NewSchedule
from services.gateway.schedule_reach import Reached, reached
from shared.readmodel.tables import backups, blackouts, retention_policies, schedules
from shared.retention.rules import Rules
from shared.retention.simulation import foreseen
from shared.timetable.blackouts import Blackout, closed_by
from shared.timetable.conflicts import Conflict, Forecast, conflicts
from shared.timetable.cron import parsed
from shared.timetable.slots import slots, starts_at, zone_of

RUNS = 10
SIMULATED_SLOTS = 400
WARNED_DATABASES = 50
OTHER_SCHEDULES = 50
OTHER_SLOTS = 50
RECENT = 5
UNKNOWN = timedelta(minutes=5)
"""How long a backup is thought to take that was never made."""


class NextRun(msgspec.Struct, frozen=True, kw_only=True):
    """One slot: in the schedule's time zone, and in UTC."""

    local: str
    utc: datetime
    in_blackout: bool


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What would stand in a store after `slots` more backups, all good and verified."""

    store_id: str
    policy_id: str | None
    slots: int
    kept: list[datetime]


class SchedulePreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule would do. `databases` counts what it reaches now."""

    time_zone: str
    databases: int
    next_runs: list[NextRun]
    warnings: list[Conflict]
    retention: list[Kept]


async def schedule_preview(
    deps: Dependencies, schedule_id: str, data: NewSchedule
) -> SchedulePreview:
    """Everything that is foreseen of a schedule, saved or not; `data` has been checked."""
    windows = await _windows(deps, data.blackout_ids)
    found = await reached(deps, data.database_ids, data.group_ids, data.tags)
    coming, far = await asyncio.to_thread(_coming, data, deps.clock())
    zone = zone_of(data.time_zone)
    runs = [
        NextRun(
            local=slot.astimezone(zone).isoformat(),
            utc=slot,
            in_blackout=bool(closed_by(slot, windows)),
        )
        for slot in coming
    ]
    return SchedulePreview(
        time_zone=data.time_zone,
        databases=len(found),
        next_runs=runs,
        warnings=await _warnings(deps, schedule_id, data, found, runs),
        retention=[await _kept(deps, data, target, far) for target in data.targets],
    )


async def warnings_of(deps: Dependencies, schedule_id: str, data: NewSchedule) -> list[Conflict]:
    """What to tell who saves the schedule."""
    return (await schedule_preview(deps, schedule_id, data)).warnings


def _coming(data: NewSchedule, now: datetime) -> tuple[list[datetime], list[datetime]]:
    cron, zone = parsed(data.cron), zone_of(data.time_zone)
    far = list(islice(slots(cron, zone, now), SIMULATED_SLOTS))
    return far[:RUNS], far


async def _windows(deps: Dependencies, ids: Sequence[str]) -> list[Blackout]:
    query = select(blackouts).where(blackouts.c.id.in_(ids), blackouts.c.enabled)
    return [
        Blackout(id=row.id, cron=parsed(row.cron), zone=zone_of(row.time_zone), minutes=row.minutes)
        for row in (await deps.read_model.rows(query) if ids else [])
    ]


async def _kept(deps: Dependencies, data: NewSchedule, target: Any, far: list[datetime]) -> Kept:
    rules = None
    if target.policy_id is not None:
        query = select(retention_policies).where(retention_policies.c.id == target.policy_id)
        row = await deps.read_model.one(query)
        rules = _rules(row) if row is not None else None
    end = far[-1] if far else deps.clock()
    seen = await asyncio.to_thread(foreseen, far, rules, zone_of(data.time_zone), at=end)
    return Kept(
        store_id=target.store_id,
        policy_id=target.policy_id,
        slots=len(seen),
        kept=[one.slot for one in seen if one.keep],
    )


def _rules(row: Row[Any]) -> Rules:
    columns = {str(name): value for name, value in row._mapping.items()}
    return Rules(**{name: columns[name] for name in Rules.__struct_fields__})


async def _warnings(
    deps: Dependencies,
    schedule_id: str,
    data: NewSchedule,
    found: list[Reached],
    runs: list[NextRun],
) -> list[Conflict]:
    closed = [run.utc for run in runs if run.in_blackout]
    looked = found[:WARNED_DATABASES]
    lasting = await _durations(deps, [one.database.id for one in looked])
    coming = [run.utc for run in runs]
    own = _forecasts(schedule_id, data.name, data.jitter_s, looked, coming, lasting)
    others = await _others(deps, schedule_id, looked, coming, lasting) if own else []
    limits = {one.database.server_id: one.run_limit for one in looked}
    return await asyncio.to_thread(conflicts, own, others, limits, closed)


def _forecasts(  # noqa: PLR0913, PLR0917 - what a forecast is made of
    schedule_id: str,
    name: str,
    jitter_s: int,
    found: Sequence[Reached],
    coming: Sequence[datetime],
    lasting: dict[UUID, timedelta],
) -> list[Forecast]:
    made = []
    for slot in coming:
        for one in found:
            start = starts_at(slot, jitter_s, schedule_id, one.database.id)
            made.append(
                Forecast(
                    schedule_id=schedule_id,
                    schedule_name=name,
                    database_id=one.database.id,
                    server_id=one.database.server_id,
                    start=start,
                    end=start + lasting.get(one.database.id, UNKNOWN),
                )
            )
    return made


async def _others(
    deps: Dependencies,
    schedule_id: str,
    found: Sequence[Reached],
    coming: Sequence[datetime],
    lasting: dict[UUID, timedelta],
) -> list[Forecast]:
    """What other schedules do with the same databases meanwhile: those that name them by id."""
    named = or_(*(schedules.c.database_ids.contains([str(one.database.id)]) for one in found))
    query = select(schedules).where(named, ~schedules.c.paused, schedules.c.id != schedule_id)
    made: list[Forecast] = []
    for row in await deps.read_model.rows(query.limit(OTHER_SCHEDULES)):
        theirs = [one for one in found if str(one.database.id) in row.database_ids]
        try:
            every = slots(parsed(row.cron), zone_of(row.time_zone), coming[0] - timedelta(hours=6))
        except ValueError:
            continue
        last = coming[-1]
        meanwhile = list(islice(takewhile(lambda slot: slot <= last, every), OTHER_SLOTS))  # noqa: B023
        made += _forecasts(row.id, row.name, row.jitter_s, theirs, meanwhile, lasting)
    return made


async def _durations(deps: Dependencies, ids: Sequence[UUID]) -> dict[UUID, timedelta]:
    """The median of how long the last backups of each database took."""
    if not ids:
        return {}
    took = func.extract("epoch", backups.c.completed_at - backups.c.started_at).label("seconds")
    number = func.row_number().over(
        partition_by=backups.c.database_id, order_by=backups.c.requested_at.desc()
    )
    recent = (
        select(backups.c.database_id, took, number.label("number"))
        .where(backups.c.database_id.in_(ids), backups.c.completed_at.is_not(None))
        .subquery()
    )
    median = func.percentile_cont(0.5).within_group(recent.c.seconds.asc()).label("median")
    query = (
        select(recent.c.database_id, median)
        .where(recent.c.number <= RECENT)
        .group_by(recent.c.database_id)
    )
    return {
        row.database_id: timedelta(seconds=float(row.median or 0))
        for row in await deps.read_model.rows(query)
    }
