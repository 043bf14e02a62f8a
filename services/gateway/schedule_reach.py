"""Which databases a schedule reaches, and which schedules a caller may see."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, Text, and_, cast, exists, not_, or_, select

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.rights import Right
from services.gateway.scope import everywhere, visible
from shared.errors import ForbiddenError, NotFoundError
from shared.messages.values import DatabaseRef
from shared.readmodel.tables import databases, schedules, servers


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """A database that a schedule backs up, and what limits its server."""

    database: DatabaseRef
    pool: str
    run_limit: int


async def reached(
    deps: Dependencies, database_ids: list[UUID], group_ids: list[str], tags: list[str]
) -> list[Reached]:
    """The databases by id, group or tag, each once, whose server and endpoint exist."""
    chosen = or_(
        databases.c.id.in_(database_ids),
        *(servers.c.group_ids.contains([group]) for group in group_ids),
        *(databases.c.tags.contains([tag]) for tag in tags),
    )
    query = (
        select(databases, servers.c.pool, servers.c.run_limit, servers.c.endpoints)
        .join(servers, servers.c.id == cast(databases.c.server_id, Text))
        .where(chosen)
        .order_by(databases.c.id)
    )
    return [
        Reached(
            database=DatabaseRef(server_id=row.server_id, endpoint=row.endpoint, name=row.name),
            pool=row.pool,
            run_limit=row.run_limit,
        )
        for row in await deps.read_model.rows(query)
        if row.endpoint in {point["name"] for point in row.endpoints}
    ]


def seen_schedules(caller: Caller, right: Right) -> ColumnElement[bool]:
    """The condition for schedules of which the caller has `right` on every database.

    One that chooses by group or tag may reach any server: it is for those with no limit of scope.
    """
    if everywhere(caller, right):
        return schedules.c.id.is_not(None)
    beyond = exists().where(
        schedules.c.database_ids.has_key(cast(databases.c.id, Text)),
        not_(visible(caller, right, databases.c.server_id)),
    )
    return and_(schedules.c.group_ids == [], schedules.c.tags == [], not_(beyond))


async def admitted_schedule(
    deps: Dependencies, caller: Caller, right: Right, schedule_id: UUID
) -> Row[Any]:
    """The row, for who may do with it what `right` names; raises NotFoundError, ForbiddenError."""
    query = select(schedules).where(schedules.c.id == str(schedule_id))
    row = await deps.read_model.one(query.where(seen_schedules(caller, Right.SCHEDULES_READ)))
    if row is None:
        raise NotFoundError("there is no schedule with this id", fix="see /schedules")
    if await deps.read_model.one(query.where(seen_schedules(caller, right))) is None:
        raise ForbiddenError("the account has not this right on all databases of the schedule")
    return row


async def rights_on(deps: Dependencies, caller: Caller, schedule_id: UUID) -> list[Right]:
    """What the caller may do with a schedule that they see."""
    wanted = (Right.SCHEDULES_READ, Right.SCHEDULES_RUN, Right.SCHEDULES_WRITE)
    columns = [seen_schedules(caller, right).label(right.value) for right in wanted]
    row = await deps.read_model.one(select(*columns).where(schedules.c.id == str(schedule_id)))
    return [right for right in wanted if row is not None and row._mapping[right.value]]
