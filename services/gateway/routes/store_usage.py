"""What a store holds, when it will be full, and whether it works."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy import ColumnElement, Row, Subquery, Table, func, literal, or_, select, union_all
from uuid_utils.compat import uuid7

from services.gateway import configured
from services.gateway.dependencies import Dependencies
from services.gateway.forecast import daily_growth, full_on
from services.gateway.injection import Deps, Who
from services.gateway.representations import Accepted
from services.gateway.requests import asked
from services.gateway.rights import Right
from services.gateway.routes.stores import STORE
from services.gateway.scope import visible
from shared.messages.facts import StoreTested, StoreTestRequested
from shared.messages.values import Problem
from shared.readmodel.tables import COPIED, STANDING, archives, backups

DAYS = 30
MOST_DATABASES = 100


class DatabaseUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What one database's backups take up in the store."""

    database_id: UUID
    database_name: str
    backups: int
    stored_bytes: int


class DayUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What the store held at the end of a day (UTC)."""

    day: date
    stored_bytes: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds. `databases`: the largest, of those in the caller's scope.

    `full_on` is a forecast from the growth of the last 30 days against the quota, or against the
    free space that the last test saw; None while that cannot be known.
    """

    backups: int
    stored_bytes: int
    quota_bytes: int | None
    free_bytes: int | None
    daily_growth_bytes: float | None
    full_on: date | None
    databases: list[DatabaseUsage]
    days: list[DayUsage]


class StoreTestResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an object could be written, read back and deleted, or why not."""

    ok: bool
    seconds: float
    free_bytes: int | None = None
    problem: Problem | None = None


@get(
    "/stores/{store_id:uuid}/usage",
    opt={"right": Right.STORES_READ},
    tags=["stores"],
    operation_id="store_usage",
)
async def store_usage(store_id: FromPath[UUID], deps: Deps, caller: Who) -> Usage:
    """Show what the store holds, by database and by day, and when it will be full."""
    row = await configured.row_of(deps, STORE, str(store_id))
    held = held_in(row.id)
    days = await _days(deps, row.id)
    total = await deps.read_model.one(
        select(
            func.count().label("backups"),
            func.coalesce(func.sum(held.c.stored_bytes), 0).label("stored_bytes"),
        ).select_from(held)
    )
    assert total is not None
    by_database = (
        select(
            held.c.database_id,
            func.max(held.c.database_name).label("database_name"),
            func.count().label("backups"),
            func.sum(held.c.stored_bytes).label("stored_bytes"),
        )
        .where(visible(caller, Right.DATABASES_READ, held.c.server_id))
        .group_by(held.c.database_id)
        .order_by(func.sum(held.c.stored_bytes).desc())
        .limit(MOST_DATABASES)
    )
    databases = [_database(one) for one in await deps.read_model.rows(by_database)]
    history, stored = [one.stored_bytes for one in days], int(total.stored_bytes)
    return Usage(
        backups=total.backups,
        stored_bytes=stored,
        quota_bytes=row.quota_bytes,
        free_bytes=row.free_bytes,
        daily_growth_bytes=daily_growth(history),
        full_on=full_on(history, _capacity(row, stored), deps.clock().date()),
        databases=databases,
        days=days,
    )


def _capacity(store: Row[Any], stored: int) -> int | None:
    limits = [
        *([store.quota_bytes] if store.quota_bytes is not None else []),
        *([stored + store.free_bytes] if store.free_bytes is not None else []),
    ]
    return min(limits, default=None)


def held_in(store_id: str, *, gone: bool = False) -> Subquery:
    """Every archive that stands in the store: of its own backups, and copies. With `gone` also what
    stood there and is known to have gone at `gone_at`."""
    own = select(
        backups.c.server_id,
        backups.c.database_id,
        backups.c.database_name,
        backups.c.stored_bytes,
        backups.c.completed_at.label("at"),
        backups.c.deleted_at.label("gone_at"),
    ).where(
        backups.c.store_id == store_id,
        _stands(backups, STANDING, gone=gone),
        backups.c.stored_bytes.is_not(None),
    )
    copies = (
        select(
            backups.c.server_id,
            backups.c.database_id,
            backups.c.database_name,
            archives.c.stored_bytes,
            archives.c.stored_at.label("at"),
            archives.c.deleted_at.label("gone_at"),
        )
        .join(backups, backups.c.id == archives.c.backup_id)
        .where(
            archives.c.store_id == store_id,
            _stands(archives, COPIED, gone=gone),
            archives.c.stored_bytes.is_not(None),
        )
    )
    return union_all(own, copies).subquery()


def _stands(table: Table, standing: tuple[str, ...], *, gone: bool) -> ColumnElement[bool]:
    stands = table.c.status.in_(standing)
    return or_(stands, table.c.deleted_at.is_not(None)) if gone else stands


async def _days(deps: Dependencies, store_id: str) -> list[DayUsage]:
    today = deps.clock().astimezone(UTC).date()
    first = today - timedelta(days=DAYS - 1)
    held = held_in(store_id, gone=True)
    came, went = [
        await _by_day(deps, held, moment, first) for moment in (held.c.at, held.c.gone_at)
    ]
    total = 0
    found: list[DayUsage] = []
    for number in range(DAYS):
        at = first + timedelta(days=number)
        total += came.get(at, 0) - went.get(at, 0)
        if total or found:
            found.append(DayUsage(day=at, stored_bytes=total))
    return found


async def _by_day(
    deps: Dependencies, held: Subquery, moment: ColumnElement[Any], first: date
) -> dict[date, int]:
    """Bytes by the day of `moment`; what was before `first` counts there."""
    day = func.greatest(func.date(func.timezone("UTC", moment)), literal(first))
    query = (
        select(day.label("day"), func.sum(held.c.stored_bytes).label("bytes"))
        .where(moment.is_not(None))
        .group_by(day)
    )
    return {row.day: int(row.bytes) for row in await deps.read_model.rows(query)}


def _database(row: Row[Any]) -> DatabaseUsage:
    return DatabaseUsage(
        database_id=row.database_id,
        database_name=row.database_name,
        backups=row.backups,
        stored_bytes=int(row.stored_bytes),
    )


@post(
    "/stores/{store_id:uuid}/test",
    opt={"right": Right.STORES_TEST},
    tags=["stores"],
    operation_id="test_store",
    status_code=200,
)
async def test_store(
    store_id: FromPath[UUID], deps: Deps, caller: Who
) -> Response[StoreTestResult]:
    """Write an object into the store, read it back, compare, delete it.

    202 when no answer came within 15 s: the store shows it as `tested_at` once it is there.
    """
    row = await configured.row_of(deps, STORE, str(store_id))
    question = StoreTestRequested(
        store_id=row.id, run_id=uuid7(), actor=caller.actor, request_id=caller.request_id
    )
    said = await asked(deps, question, StoreTested)
    if said is None:
        location = STORE.location(row.id)
        accepted: Any = Accepted(id=row.id, href=location)
        return Response(accepted, status_code=202, headers={"Location": location})
    result = StoreTestResult(
        ok=said.problem is None,
        seconds=said.seconds,
        free_bytes=said.free_bytes,
        problem=said.problem,
    )
    return Response(result, status_code=200)


ROUTES = [
    store_usage,
    test_store,
]
