"""What requests point at: databases on servers, and stores."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta
from sqlalchemy import select

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.representations import Input, Label
from services.gateway.rights import Right, reading
from services.gateway.scope import Place, covers, require
from shared.messages.values import DatabaseRef
from shared.readmodel.tables import servers, stores

DatabaseName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Engines allow nearly anything in a name; what is excluded is no name anywhere."""


class Reference(Input, frozen=True, kw_only=True):
    """A database by the names an operator knows."""

    server_id: UUID
    endpoint: Label
    name: DatabaseName

    def named(self) -> DatabaseRef:
        """The same, as the messages carry it."""
        return DatabaseRef(server_id=self.server_id, endpoint=self.endpoint, name=self.name)


async def pool_of(
    deps: Dependencies, caller: Caller, right: Right, database: Reference, *, at: str = "/database"
) -> str:
    """The pool that reaches the database.

    Raises when the caller has not `right` there, or when server or endpoint do not exist: a server
    they may not see does not exist for them.
    """
    row = await deps.read_model.one(select(servers).where(servers.c.id == str(database.server_id)))
    place = Place(row.environment, tuple(row.group_ids)) if row else None
    if row is None or not covers(caller, reading(right), place):
        fault = InputFault(f"{at}/server_id", "no such server")
        raise InvalidFieldsError("the server does not exist", [fault])
    require(caller, right, place)
    if database.endpoint not in {point["name"] for point in row.endpoints}:
        fault = InputFault(f"{at}/endpoint", "no such endpoint on this server")
        raise InvalidFieldsError("the server has no such endpoint", [fault])
    return str(row.pool)


async def refuse_unknown_store(deps: Dependencies, store_id: str) -> None:
    """Raise unless the store exists."""
    if await deps.read_model.one(select(stores.c.id).where(stores.c.id == store_id)) is None:
        fault = InputFault("/store_id", "no such store")
        raise InvalidFieldsError("the store does not exist", [fault])
