"""Where a caller's rights hold: roles are granted on servers of environments or groups.

Every route about something of a server asks here: `visible` for lists, `admit` for one thing.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, false, or_, select, true

from services.gateway.callers import Caller, Grants
from services.gateway.dependencies import Dependencies
from services.gateway.grants import Place, covers, everywhere, holds, whole
from services.gateway.rights import Right, gives, reading
from shared.errors import ForbiddenError, NotFoundError
from shared.readmodel.tables import servers

__all__ = ["Place", "admit", "covers", "everywhere", "holds", "place_of", "require", "visible"]


def visible(caller: Caller, right: Right, server_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition for rows whose server the caller has `right` on; `server_id` is the column."""
    return and_(true(), *(_condition(layer, right, server_id) for layer in caller.layers))


async def admit(deps: Dependencies, caller: Caller, right: Right, server_id: UUID | str) -> None:
    """Let the caller do what `right` names with something of the server.

    Raises NotFoundError when they may not even read it, ForbiddenError when they only may read it.
    """
    if everywhere(caller, right):
        return
    place = await place_of(deps, server_id)
    if not covers(caller, reading(right), place):
        raise NotFoundError("there is no such thing in your scope")
    require(caller, right, place)


def require(caller: Caller, right: Right, place: Place | None) -> None:
    """Raise ForbiddenError unless the caller has `right` on a server at `place`."""
    if not covers(caller, right, place):
        raise ForbiddenError(
            f"the account has not the right {right.value} for this server",
            fix="ask an administrator for a grant that covers it",
        )


async def place_of(deps: Dependencies, server_id: UUID | str) -> Place | None:
    """Where a server stands, or None when it is gone."""
    query = select(servers.c.environment, servers.c.group_ids)
    row = await deps.read_model.one(query.where(servers.c.id == str(server_id)))
    return None if row is None else Place(row.environment, tuple(row.group_ids))


def _condition(layer: Grants, right: Right, server_id: ColumnElement[Any]) -> ColumnElement[bool]:
    if whole(layer, right):
        return true()
    giving = [grant for grant in layer if gives(grant, right)]
    if not giving:
        return false()
    environments = sorted({name for grant in giving for name in grant.environments})
    groups = sorted({group for grant in giving for group in grant.group_ids})
    inside = select(servers.c.id).where(
        or_(
            servers.c.environment.in_(environments),
            *(servers.c.group_ids.contains([group]) for group in groups),
        )
    )
    return cast(server_id, Text).in_(inside)
