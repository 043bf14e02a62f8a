"""Schedules: when to back up what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid5

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.callers import Caller
from services.gateway.configured import Change, Noun
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByName, Cursor, Limit, NamePart, listed, named, sorted_by
from services.gateway.once import Answer, answer, first_id, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import convert
from services.gateway.rights import Right
from services.gateway.schedule_inputs import NewSchedule, refuse_unusable
from services.gateway.schedule_previews import SchedulePreview, schedule_preview, warnings_of
from services.gateway.schedule_reach import (
    Reached,
    admitted_schedule,
    reached,
    rights_on,
    seen_schedules,
)
from shared.bus import Expect, WrongSequenceError
from shared.errors import ConflictError
from shared.messages.base import consequence
from shared.messages.facts import BackupRequested
from shared.messages.settings import ScheduleSetting
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import BackupType, Check, Method, Problem
from shared.readmodel.tables import schedules
from shared.timetable.conflicts import Conflict

AT_ONCE = 32
PausedFilter = Annotated[
    bool | None, QueryParameter(description="Only those that are paused, or are not")
]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule. `problem` is what the scheduler found wrong with it; `warnings`, what it would
    run into, come when it is saved or shown alone, not in lists. `may`, what the caller may do with
    it, comes when it is shown alone."""

    id: str
    name: str
    cron: str
    time_zone: str
    database_ids: list[UUID]
    group_ids: list[str]
    tags: list[str]
    targets: list[ScheduleTarget]
    type: str
    method: str
    codec: str
    chain_limit: int
    jitter_s: int
    blackout_ids: list[str]
    missed: str
    missed_within_s: int
    paused: bool
    test_restore: str
    checks: list[Check]
    problem: Problem | None = None
    warnings: list[Conflict] = []
    may: list[Right] = []
    created_at: datetime
    updated_at: datetime
    version: int


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The backups that a run of a schedule asked for."""

    backup_ids: list[UUID]


def schedule_of(row: Row[Any], warnings: Sequence[Conflict] = ()) -> Schedule:
    """A row as the API shows it."""
    return convert(row, Schedule, type=row.type_wanted, warnings=list(warnings))


SCHEDULE = Noun("schedule", schedules, "/schedules", schedule_of)


def _told(operation: str, right: Right) -> dict[str, Any]:
    return {"opt": {"right": right}, "tags": ["schedules"], "operation_id": operation}


@get("/schedules", **_told("list_schedules", Right.SCHEDULES_READ))
async def list_schedules(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    name: NamePart = None,
    paused: PausedFilter = None,
    sort: ByName = "name",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Schedule]:
    """List the schedules by name."""
    query = select(schedules).where(seen_schedules(caller, Right.SCHEDULES_READ))
    if paused is not None:
        query = query.where(schedules.c.paused == paused)
    window = sorted_by(schedules, sort, limit, cursor)
    return await listed(deps, named(query, schedules, name), window, schedule_of)


@post("/schedules", status_code=201, **_told("create_schedule", Right.SCHEDULES_WRITE))
async def create_schedule(
    data: JSONBody[NewSchedule], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Schedule]:
    """Make a schedule; the answer warns of what it would run into."""

    async def create(thing: UUID) -> Answer:
        await refuse_unusable(deps, caller, data)
        warnings = await warnings_of(deps, caller, str(thing), data)
        change = configured.creating(thing, caller)

        async def make() -> ScheduleSetting:
            return _setting(change, data)

        return await configured.create(deps, _warning(warnings), change, data.name, make)

    return await once(request, deps, caller, create)


@post("/schedules/preview", status_code=200, **_told("preview_new_schedule", Right.SCHEDULES_READ))
async def preview_new_schedule(
    data: JSONBody[NewSchedule], deps: Deps, caller: Who
) -> SchedulePreview:
    """Show what a schedule would do that is not saved."""
    await refuse_unusable(deps, caller, data)
    return await schedule_preview(deps, caller, "", data)


@get("/schedules/{schedule_id:uuid}", **_told("get_schedule", Right.SCHEDULES_READ))
async def get_schedule(schedule_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Schedule]:
    """Show one schedule, and what it would run into as things are now."""
    row = await admitted_schedule(deps, caller, Right.SCHEDULES_READ, schedule_id)
    warnings = await warnings_of(deps, caller, row.id, _input(row))
    may = await rights_on(deps, caller, schedule_id)
    answer = configured.shown(row, _warning(warnings))
    answer.content = msgspec.structs.replace(answer.content, may=may)
    return answer


@put("/schedules/{schedule_id:uuid}", **_told("replace_schedule", Right.SCHEDULES_WRITE))
async def replace_schedule(
    schedule_id: FromPath[UUID],
    data: JSONBody[NewSchedule],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Schedule]:
    """Replace a schedule. What passed before and still waits, for its jitter or the end of a
    blackout, is done in the new way; other slots that passed are not made up for."""
    row = await admitted_schedule(deps, caller, Right.SCHEDULES_WRITE, schedule_id)
    configured.at_version(SCHEDULE, row, request)
    await refuse_unusable(deps, caller, data)
    warnings = await warnings_of(deps, caller, row.id, data)
    setting = _setting(configured.changing(schedule_id, caller), data)
    return await configured.replace(deps, _warning(warnings), row, setting, data.name)


@delete(
    "/schedules/{schedule_id:uuid}",
    status_code=204,
    **_told("delete_schedule", Right.SCHEDULES_WRITE),
)
async def delete_schedule(
    schedule_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Delete a schedule; its backups stay."""
    row = await admitted_schedule(deps, caller, Right.SCHEDULES_WRITE, schedule_id)
    configured.at_version(SCHEDULE, row, request)
    await configured.remove(deps, SCHEDULE, row, caller)


@get("/schedules/{schedule_id:uuid}/preview", **_told("preview_schedule", Right.SCHEDULES_READ))
async def preview_schedule(schedule_id: FromPath[UUID], deps: Deps, caller: Who) -> SchedulePreview:
    """Show the next runs, what they run into, and what the policies would keep of them."""
    row = await admitted_schedule(deps, caller, Right.SCHEDULES_READ, schedule_id)
    return await schedule_preview(deps, caller, row.id, _input(row))


@post(
    "/schedules/{schedule_id:uuid}/pause",
    status_code=200,
    **_told("pause_schedule", Right.SCHEDULES_WRITE),
)
async def pause_schedule(
    schedule_id: FromPath[UUID], deps: Deps, caller: Who
) -> Response[Schedule]:
    """Stop a schedule until it is resumed."""
    return await _paused(deps, caller, schedule_id, paused=True)


@post(
    "/schedules/{schedule_id:uuid}/resume",
    status_code=200,
    **_told("resume_schedule", Right.SCHEDULES_WRITE),
)
async def resume_schedule(
    schedule_id: FromPath[UUID], deps: Deps, caller: Who
) -> Response[Schedule]:
    """Let a paused schedule go on with its next slot."""
    return await _paused(deps, caller, schedule_id, paused=False)


@post(
    "/schedules/{schedule_id:uuid}/run",
    status_code=202,
    **_told("run_schedule", Right.SCHEDULES_RUN),
)
async def run_schedule(
    schedule_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Started]:
    """Back up everything that the schedule reaches, now; it counts as none of its slots."""
    row = await admitted_schedule(deps, caller, Right.SCHEDULES_RUN, schedule_id)

    async def create(thing: UUID) -> Answer:
        data = _input(row)
        found = await reached(deps, data.database_ids, data.group_ids, data.tags)
        if not found:
            raise ConflictError("the schedule reaches no database", fix="see its preview")
        asked = [_asked(row, one, thing, caller) for one in found]
        await _say(deps, asked)
        started = Started(backup_ids=[one.backup_id for one in asked])
        return answer(202, started, f"/api/v1/schedules/{row.id}")

    return await once(request, deps, caller, create)


async def _say(deps: Dependencies, asked: Sequence[BackupRequested]) -> None:
    waiting = iter(asked)

    async def some() -> None:
        for one in waiting:
            try:
                await deps.bus.append(one, expect=Expect(0))
            except WrongSequenceError:
                continue  # an earlier try with the same key has said it

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, len(asked))):
            group.create_task(some())


def _asked(row: Row[Any], one: Reached, thing: UUID, caller: Caller) -> BackupRequested:
    backup_id = uuid5(thing, str(one.database.id))
    first, *further = [target["store_id"] for target in row.targets]
    return BackupRequested(
        id=first_id(backup_id),
        backup_id=backup_id,
        run_id=consequence(backup_id, "run"),
        database=one.database,
        store_id=first,
        run_pool=one.pool,
        codec=row.codec,
        type_wanted=BackupType(row.type_wanted),
        method=Method(row.method),
        chain_limit=row.chain_limit,
        schedule_id=row.id,
        further_store_ids=further,
        actor=caller.actor,
        request_id=caller.request_id,
    )


async def _paused(
    deps: Dependencies, caller: Caller, schedule_id: UUID, *, paused: bool
) -> Response[Schedule]:
    row = await admitted_schedule(deps, caller, Right.SCHEDULES_WRITE, schedule_id)
    if row.paused == paused:
        return configured.shown(row, SCHEDULE)
    data = msgspec.structs.replace(_input(row), paused=paused)
    setting = _setting(configured.changing(schedule_id, caller), data)
    return await configured.replace(deps, SCHEDULE, row, setting, row.name)


def _warning(warnings: Sequence[Conflict]) -> Noun[Schedule]:
    """The noun, as it is shown with its warnings."""
    return msgspec.structs.replace(SCHEDULE, view=lambda row: schedule_of(row, warnings))


def _input(row: Row[Any]) -> NewSchedule:
    """A saved schedule as somebody would send it."""
    fields = {name: row._mapping.get(name) for name in NewSchedule.__struct_fields__}
    fields["type"] = row.type_wanted
    return msgspec.convert(fields, NewSchedule)


def _setting(change: Change, data: NewSchedule) -> ScheduleSetting:
    given = msgspec.to_builtins(data)
    fields = {name: value for name, value in given.items() if name != "type"}
    return msgspec.convert(
        {**fields, **msgspec.to_builtins(change.said_by()), "type_wanted": data.type},
        ScheduleSetting,
    )


ROUTES = [
    list_schedules,
    create_schedule,
    preview_new_schedule,
    get_schedule,
    replace_schedule,
    delete_schedule,
    preview_schedule,
    pause_schedule,
    resume_schedule,
    run_schedule,
]
