"""How databases stand to their objectives, in an order that holds from page to page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.paging import cursor_of, foreign_cursor, position_of
from services.gateway.rights import Right
from services.gateway.scope import visible
from shared.objectives import Judged, databases_of, judged, objectives_of
from shared.readmodel.tables import databases


class Ranks(msgspec.Struct, frozen=True, kw_only=True):
    """The databases behind a cursor, judged at `at`; `label` names the order."""

    label: str
    at: datetime
    behind: Sequence[Judged]

    def after(self, deps: Dependencies, one: Judged) -> str:
        """The cursor behind `one`."""
        return cursor_of(deps.secret, self.label, self.at, one.burn, str(one.database.id))


async def ranked(
    deps: Dependencies, caller: Caller, sort: str, cursor: str | None, server_id: UUID | None
) -> Ranks:
    """What the caller may see, by burn; raises InvalidFieldsError for a foreign cursor."""
    label, descending = f"objectives{sort}", sort.startswith("-")
    at, position = deps.clock(), None
    if cursor is not None:
        given, at, burn, database_id = position_of(
            deps.secret, cursor, tuple[str, datetime, float, str]
        )
        if given != label:
            raise foreign_cursor()
        position = (-burn if descending else burn, database_id)
    query = select(databases.c.id).where(
        visible(caller, Right.OBJECTIVES_READ, databases.c.server_id)
    )
    if server_id is not None:
        query = query.where(databases.c.server_id == server_id)
    seen = {row.id for row in await deps.read_model.rows(query)}
    known = [one for one in await databases_of(deps.read_model) if one.id in seen]
    wanted = await objectives_of(deps.read_model)

    def rank() -> list[Judged]:
        placed = [(_place(one, descending=descending), one) for one in judged(known, wanted, at)]
        placed.sort(key=lambda pair: pair[0])
        return [one for place, one in placed if position is None or place > position]

    return Ranks(label=label, at=at, behind=await asyncio.to_thread(rank))


def _place(one: Judged, *, descending: bool) -> tuple[float, str]:
    return (-one.burn if descending else one.burn, str(one.database.id))
