"""What a schedule would do: its next runs, what they run into, what the policies would keep."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Row, select

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.schedule_forecasts import blackouts_of, foreseen_conflicts
from services.gateway.schedule_inputs import NewSchedule
from services.gateway.schedule_reach import reached
from shared.readmodel.tables import retention_policies
from shared.retention.rules import Rules
from shared.retention.simulation import foreseen
from shared.timetable.blackouts import closed_by
from shared.timetable.conflicts import Conflict
from shared.timetable.cron import parsed
from shared.timetable.slots import slots, zone_of

RUNS = 10
SIMULATED_SLOTS = 400


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
    deps: Dependencies, caller: Caller, schedule_id: str, data: NewSchedule
) -> SchedulePreview:
    """Everything that is foreseen of a schedule, saved or not; `data` has been checked."""
    windows = await blackouts_of(deps, data.blackout_ids)
    found = await reached(deps, data.database_ids, data.group_ids, data.tags)
    coming, far = await asyncio.to_thread(_coming, data, deps.clock(), SIMULATED_SLOTS)
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
        warnings=await foreseen_conflicts(deps, caller, schedule_id, data, found, coming),
        retention=[await _kept(deps, data, target, far) for target in data.targets],
    )


async def warnings_of(
    deps: Dependencies, caller: Caller, schedule_id: str, data: NewSchedule
) -> list[Conflict]:
    """What to tell who saves or looks at the schedule: nothing while it is paused."""
    if data.paused:
        return []
    found = await reached(deps, data.database_ids, data.group_ids, data.tags)
    coming, _ = await asyncio.to_thread(_coming, data, deps.clock(), RUNS)
    return await foreseen_conflicts(deps, caller, schedule_id, data, found, coming)


def _coming(
    data: NewSchedule, now: datetime, simulated: int
) -> tuple[list[datetime], list[datetime]]:
    cron, zone = parsed(data.cron), zone_of(data.time_zone)
    far = list(islice(slots(cron, zone, now), simulated))
    return far[:RUNS], far


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
