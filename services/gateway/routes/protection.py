"""Protection: whether each database is safe, and the history of its backups as pictures show it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import QueryParameter

from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit, NamePart
from services.gateway.paging import DEFAULT_LIMIT, cursor_of, foreign_cursor, position_of
from services.gateway.protection import Day, Safety, Stand, counted, history, stands, strips
from services.gateway.rights import Right
from shared.messages.values import Problem
from shared.objectives import Standing

LONGEST_DAYS = 371
"""A year in whole weeks."""
LABEL = "protection"

SafetyFilter = Annotated[Safety | None, QueryParameter(description="Only databases that stand so")]
ServerFilter = Annotated[UUID | None, QueryParameter(description="Only databases of this server")]
DatabaseFilter = Annotated[UUID | None, QueryParameter(description="Only this database")]
Days = Annotated[int, QueryParameter(ge=1, le=LONGEST_DAYS, description="Until today")]


class LastBackup(msgspec.Struct, frozen=True, kw_only=True):
    """The newest backup that came to an end."""

    backup_id: UUID
    run_id: UUID
    failed: bool
    at: datetime
    problem: Problem | None = None


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """A database and whether it is safe. `good_at`: when the data of its last good backup was
    taken. `days` holds the last 30 days that had a backup."""

    database_id: UUID
    database: str
    server_id: UUID
    server: str
    tags: list[str]
    safety: Safety
    good_at: datetime | None
    rpo_s: int | None
    standing: Standing | None
    last: LastBackup | None
    days: list[Day]


class ProtectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of databases, the worst first; `counts` has all of them by safety."""

    items: list[Protection]
    counts: dict[str, int]
    next_cursor: str | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The days that had a backup."""

    items: list[Day]


@get(
    "/databases/protection",
    opt={"right": Right.DATABASES_READ},
    tags=["databases"],
    operation_id="list_protection",
)
async def list_protection(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    database_id: DatabaseFilter = None,
    server_id: ServerFilter = None,
    name: NamePart = None,
    safety: SafetyFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ProtectionPage:
    """Tell which databases are safe; those that are not come first."""
    position: tuple[int, str, str] | None = None
    if cursor is not None:
        label, *_ = found = position_of(deps.secret, cursor, tuple[str, int, str, str])
        if label != LABEL:
            raise foreign_cursor()
        position = found[1:]
    every = [
        one
        for one in await stands(deps, caller)
        if database_id in {None, one.database.id}
        and server_id in {None, one.database.server_id}
        and (name is None or name.casefold() in one.database.name.casefold())
    ]
    behind = [
        one
        for one in every
        if safety in {None, one.safety} and (position is None or one.place > position)
    ]
    shown = behind[:limit]
    days = await strips(deps, [one.database.id for one in shown])
    return ProtectionPage(
        items=[_shown(one, days.get(one.database.id, [])) for one in shown],
        counts=counted(every),
        next_cursor=(
            cursor_of(deps.secret, LABEL, *shown[-1].place) if len(behind) > limit else None
        ),
    )


@get(
    "/backups/days",
    opt={"right": Right.BACKUPS_READ},
    tags=["backups"],
    operation_id="list_backup_days",
)
async def list_days(
    deps: Deps, caller: Who, days: Days = 30, database_id: DatabaseFilter = None
) -> History:
    """Count the backups of each of the last days (UTC); days without any are left out."""
    return History(items=await history(deps, caller, days=days, database_id=database_id))


def _shown(one: Stand, days: list[Day]) -> Protection:
    last = None if one.last is None else msgspec.convert(one.last, LastBackup, from_attributes=True)
    return Protection(
        database_id=one.database.id,
        database=one.database.name,
        server_id=one.database.server_id,
        server=one.database.server,
        tags=sorted(one.database.tags),
        safety=one.safety,
        good_at=one.database.good_at,
        rpo_s=one.objective.objective.rpo_s if one.objective else None,
        standing=one.objective.standing if one.objective else None,
        last=last,
        days=days,
    )


ROUTES = [
    list_protection,
    list_days,
]
