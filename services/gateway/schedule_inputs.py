"""What a schedule or blackout may say, checked before it is saved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta
from sqlalchemy import Table, select

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.representations import (
    BackupKind,
    ChainLimit,
    CodecName,
    Input,
    Label,
    Name,
)
from services.gateway.rights import Right
from services.gateway.scope import everywhere, visible
from shared.readmodel.tables import blackouts, databases, retention_policies, server_groups, stores
from shared.timetable.cron import parsed
from shared.timetable.slots import slots, zone_of

LOOKED_AT, AHEAD = 100, timedelta(days=400)
"""So many slots, and no further, are looked at for the least time between two."""

CronText = Annotated[
    str, Meta(min_length=9, max_length=200, description="Five fields, as `30 2 * * *`")
]
ZoneName = Annotated[str, Meta(min_length=1, max_length=64, description="As `Europe/Berlin`")]
Missed = Literal["skip", "run_once", "run_all"]


class Target(Input, frozen=True, kw_only=True):
    """A store, and the policy that keeps the backups there."""

    store_id: Label
    policy_id: Label | None = None


class CheckInput(Input, frozen=True, kw_only=True):
    """A query that a restored database has to answer: its first column is compared with `expected`
    as text, or has to reach `at_least`; with neither, there has to be a row."""

    name: Name
    query: Annotated[str, Meta(min_length=1, max_length=4000, pattern=r"^[^\x00]*$(?!\n)")]
    expected: Annotated[str, Meta(max_length=200)] | None = None
    at_least: float | None = None
    database_ids: Annotated[list[UUID], Meta(max_length=1000)] = []


class NewSchedule(Input, frozen=True, kw_only=True):
    """When to back up what, and where to: the first target holds the dump, the others copies."""

    name: Name
    cron: CronText
    time_zone: ZoneName = "UTC"
    database_ids: Annotated[list[UUID], Meta(max_length=1000)] = []
    group_ids: Annotated[list[Label], Meta(max_length=100)] = []
    tags: Annotated[list[Label], Meta(max_length=100)] = []
    targets: Annotated[list[Target], Meta(min_length=1, max_length=8)]
    type: BackupKind = "full"
    method: Literal["logical"] = "logical"
    codec: CodecName = "zstd"
    chain_limit: ChainLimit = 30
    jitter_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    blackout_ids: Annotated[list[Label], Meta(max_length=100)] = []
    missed: Missed = "run_once"
    missed_within_s: Annotated[int, Meta(ge=0, le=31 * 86_400)] = 86_400
    paused: bool = False
    test_restore: Annotated[
        str, Meta(max_length=200, description="When to restore as a test: five fields, or empty")
    ] = ""
    checks: Annotated[list[CheckInput], Meta(max_length=20)] = []


def refuse_bad_times(cron: str, time_zone: str, test_restore: str = "") -> None:
    """Raise InvalidFieldsError unless all can be read."""
    faults = []
    fields: list[tuple[str, Callable[[str], Any], str]] = [
        ("/cron", parsed, cron),
        ("/time_zone", zone_of, time_zone),
    ]
    if test_restore:
        fields.append(("/test_restore", parsed, test_restore))
    for pointer, read, text in fields:
        check: Callable[[str], Any] = read
        try:
            check(text)
        except ValueError as error:
            faults.append(InputFault(pointer, str(error)))
    if faults:
        raise InvalidFieldsError("the time cannot be read", faults)


async def refuse_unusable(deps: Dependencies, caller: Caller, data: NewSchedule) -> None:
    """Raise InvalidFieldsError where the schedule names what does not exist for the caller.

    Groups and tags may reach servers of any scope, now or later: only who may write schedules
    everywhere chooses by them.
    """
    refuse_bad_times(data.cron, data.time_zone, data.test_restore)
    faults = [*_bad_checks(data.checks), *_spread_too_far(data, deps.clock())]
    if not (data.database_ids or data.group_ids or data.tags):
        faults.append(InputFault("/database_ids", "name a database, a group or a tag"))
    if (data.group_ids or data.tags) and not everywhere(caller, Right.SCHEDULES_WRITE):
        faults.append(InputFault("/group_ids", "with your scope, name databases one by one"))
    store_ids = [target.store_id for target in data.targets]
    if len(set(store_ids)) < len(store_ids):
        faults.append(InputFault("/targets", "each store only once"))
    policy_ids = [target.policy_id for target in data.targets if target.policy_id]
    named: list[tuple[str, Table, list[str]]] = [
        ("/targets", stores, store_ids),
        ("/targets", retention_policies, policy_ids),
        ("/group_ids", server_groups, data.group_ids),
        ("/blackout_ids", blackouts, data.blackout_ids),
    ]
    for pointer, table, ids in named:
        if await _unknown(deps, table, ids):
            faults.append(InputFault(pointer, "one of them does not exist"))
    if not await _all_writable(deps, caller, data.database_ids):
        faults.append(InputFault("/database_ids", "one of them does not exist in your scope"))
    if faults:
        raise InvalidFieldsError("the schedule names what cannot be used", faults)


def _bad_checks(checks: list[CheckInput]) -> list[InputFault]:
    faults = [
        InputFault(f"/checks/{at}", "give expected or at_least, not both")
        for at, one in enumerate(checks)
        if one.expected is not None and one.at_least is not None
    ]
    if len({one.name for one in checks}) < len(checks):
        faults.append(InputFault("/checks", "each name only once"))
    return faults


def _spread_too_far(data: NewSchedule, now: datetime) -> list[InputFault]:
    """Two slots of one database must not change places."""
    if not data.jitter_s:
        return []
    coming = islice(slots(parsed(data.cron), zone_of(data.time_zone), now), LOOKED_AT)
    near = list(takewhile(lambda slot: slot < now + AHEAD, coming))
    least = min((two - one for one, two in pairwise(near)), default=AHEAD).total_seconds()
    if data.jitter_s < least:
        return []
    return [InputFault("/jitter_s", f"has to be shorter than the {least:.0f} s between two slots")]


async def _unknown(deps: Dependencies, table: Table, ids: list[str]) -> bool:
    if not ids:
        return False
    rows = await deps.read_model.rows(select(table.c.id).where(table.c.id.in_(ids)))
    return len(rows) < len(set(ids))


async def _all_writable(deps: Dependencies, caller: Caller, ids: list[UUID]) -> bool:
    mine = visible(caller, Right.SCHEDULES_WRITE, databases.c.server_id)
    query = select(databases.c.id).where(databases.c.id.in_(ids), mine)
    return not ids or len(await deps.read_model.rows(query)) == len(set(ids))
