"""Whether databases are safe: how each stands, and what became of its backups day by day."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Date, Row, Select, cast, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.rights import Right
from services.gateway.scope import visible
from shared.objectives import Judged, Protected, Standing, databases_of, judged, objectives_of
from shared.readmodel.tables import backups, databases

STRIP_DAYS = 30
ENDED = ("completed", "failed", "expired", "deleting", "deleted")
"""What tells how the last try went; a cancelled one tells nothing."""


class Safety(StrEnum):
    """How safe a database is, from the worst: `unprotected` has no good backup or one that is older
    than its objective allows; `endangered` is close to that, or its last backup failed."""

    UNPROTECTED = "unprotected"
    ENDANGERED = "endangered"
    PROTECTED = "protected"


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """The backups that were requested on a day (UTC)."""

    day: date
    completed: int
    failed: int
    stored_bytes: int = 0


class LastTry(msgspec.Struct, frozen=True, kw_only=True):
    """The newest backup that came to an end."""

    backup_id: UUID
    run_id: UUID
    failed: bool
    at: datetime
    problem: dict[str, Any] | None = None


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """A database, how it stands, and why."""

    database: Protected
    safety: Safety
    objective: Judged | None = None
    last: LastTry | None = None

    @property
    def place(self) -> tuple[int, str, str]:
        """Its place in a list: the worst first, then by name."""
        return [*Safety].index(self.safety), self.database.name, str(self.database.id)


def stand(database: Protected, objective: Judged | None, last: LastTry | None) -> Stand:
    """How safe a database is."""
    standing = objective.standing if objective else Standing.MET
    if database.good_at is None or standing is Standing.MISSED:
        safety = Safety.UNPROTECTED
    elif standing is Standing.AT_RISK or (last is not None and last.failed):
        safety = Safety.ENDANGERED
    else:
        safety = Safety.PROTECTED
    return Stand(database=database, safety=safety, objective=objective, last=last)


def counted(stands: Iterable[Stand]) -> dict[str, int]:
    """How many stand how; none is a zero."""
    found = Counter(one.safety.value for one in stands)
    return {safety.value: found[safety.value] for safety in Safety}


async def stands(deps: Dependencies, caller: Caller) -> list[Stand]:
    """Every database that the caller may see, the worst first."""
    mine = select(databases.c.id).where(
        visible(caller, Right.DATABASES_READ, databases.c.server_id)
    )
    seen = {row.id for row in await deps.read_model.rows(mine)}
    known = [one for one in await databases_of(deps.read_model) if one.id in seen]
    wanted = await objectives_of(deps.read_model)
    lasts = {
        row.database_id: _last_try(row) for row in await deps.read_model.rows(_last_tries(mine))
    }
    at = deps.clock()

    def judge() -> list[Stand]:
        under = {one.database.id: one for one in judged(known, wanted, at)}
        found = [stand(one, under.get(one.id), lasts.get(one.id)) for one in known]
        return sorted(found, key=lambda one: one.place)

    return await asyncio.to_thread(judge)


async def strips(deps: Dependencies, shown: Sequence[UUID]) -> dict[UUID, list[Day]]:
    """What became of the backups of some databases on each of the last days with any."""
    query = _days(backups.c.database_id, days=STRIP_DAYS, now=deps.clock())
    found: dict[UUID, list[Day]] = defaultdict(list)
    for row in await deps.read_model.rows(query.where(backups.c.database_id.in_(shown))):
        found[row.database_id].append(_day(row))
    return found


async def history(
    deps: Dependencies, caller: Caller, *, days: int, database_id: UUID | None
) -> list[Day]:
    """The same of all databases together that the caller may see, or of one of them."""
    query = _days(days=days, now=deps.clock()).where(
        visible(caller, Right.BACKUPS_READ, backups.c.server_id)
    )
    if database_id is not None:
        query = query.where(backups.c.database_id == database_id)
    return [_day(row) for row in await deps.read_model.rows(query)]


def _days(*also: Any, days: int, now: datetime) -> Select[Any]:
    """A backup counts on its day in UTC, wherever the reader is."""
    day = cast(func.timezone("UTC", backups.c.requested_at), Date)
    first = (now - timedelta(days=days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (
        select(
            *also,
            day.label("day"),
            func.count().filter(backups.c.taken_at.is_not(None)).label("completed"),
            func.count().filter(backups.c.status == "failed").label("failed"),
            func.coalesce(func.sum(backups.c.stored_bytes), 0).label("stored_bytes"),
        )
        .where(backups.c.requested_at >= first)
        .group_by(*also, day)
        .order_by(day)
    )


def _day(row: Row[Any]) -> Day:
    return Day(
        day=row.day,
        completed=row.completed,
        failed=row.failed,
        stored_bytes=int(row.stored_bytes),
    )


def _last_tries(mine: Select[Any]) -> Select[Any]:
    return (
        select(
            backups.c.database_id,
            backups.c.id,
            backups.c.run_id,
            backups.c.status,
            backups.c.requested_at,
            backups.c.problem,
        )
        .ext(distinct_on(backups.c.database_id))
        .where(backups.c.database_id.in_(mine), backups.c.status.in_(ENDED))
        .order_by(backups.c.database_id, backups.c.requested_at.desc())
    )


def _last_try(row: Row[Any]) -> LastTry:
    return LastTry(
        backup_id=row.id,
        run_id=row.run_id,
        failed=row.status == "failed",
        at=row.requested_at,
        problem=row.problem,
    )
