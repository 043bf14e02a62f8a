"""Search: things of every noun by name or id, as far as the caller may see them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Column, ColumnElement, Select, Table, Text, cast, or_, select

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.rights import Right
from services.gateway.scope import holds, visible
from shared.readmodel.tables import (
    backups,
    commands,
    databases,
    notification_channels,
    retention_policies,
    runs,
    schedules,
    server_groups,
    servers,
    stores,
)

PER_NOUN = 10
Wanted = Annotated[
    str,
    QueryParameter(min_length=1, max_length=100, description="Part of a name, or an id"),
]


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that was found, and where it stands."""

    noun: str
    id: str
    name: str
    href: str


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: at most ten things of each noun."""

    items: list[Hit]


class Searchable(msgspec.Struct, frozen=True):
    """A noun: its path, the right to see it, what it is called by, and whose server it is of."""

    noun: str
    table: Table
    path: str
    right: Right
    name: Column[Any]
    server: Column[Any] | None = None
    by_name: bool = True


NOUNS = (
    Searchable("server", servers, "/servers", Right.SERVERS_READ, servers.c.name, servers.c.id),
    Searchable(
        "database",
        databases,
        "/databases",
        Right.DATABASES_READ,
        databases.c.name,
        databases.c.server_id,
    ),
    Searchable("store", stores, "/stores", Right.STORES_READ, stores.c.name),
    Searchable("group", server_groups, "/server-groups", Right.GROUPS_READ, server_groups.c.name),
    Searchable("schedule", schedules, "/schedules", Right.SCHEDULES_READ, schedules.c.name),
    Searchable(
        "policy", retention_policies, "/policies", Right.POLICIES_READ, retention_policies.c.name
    ),
    Searchable(
        "channel",
        notification_channels,
        "/notifications/channels",
        Right.NOTIFICATIONS_READ,
        notification_channels.c.name,
    ),
    Searchable("command", commands, "/commands", Right.COMMANDS_READ, commands.c.name),
    # Of these there may be millions: only ids, which are indexed, are looked for.
    Searchable(
        "backup",
        backups,
        "/backups",
        Right.BACKUPS_READ,
        backups.c.database_name,
        backups.c.server_id,
        by_name=False,
    ),
    Searchable("run", runs, "/runs", Right.RUNS_READ, runs.c.kind, runs.c.server_id, by_name=False),
)


@get("/search", opt={"right": Right.SEARCH_READ}, tags=["system"], operation_id="search")
async def search(q: Wanted, deps: Deps, caller: Who) -> Hits:
    """Find servers, databases, stores, groups, schedules, policies, channels and commands by a part
    of their name or by id, backups and runs by id, and the newest backups of a database by its
    name."""
    items: list[Hit] = []
    for noun in NOUNS:
        if holds(caller, noun.right):
            items += await _hits(deps, caller, noun, q)
    if holds(caller, Right.BACKUPS_READ):
        items += await _of_databases(deps, caller, q)
    return Hits(items=items)


async def _hits(deps: Dependencies, caller: Caller, noun: Searchable, wanted: str) -> list[Hit]:
    conditions = [*_by_id(noun, wanted)]
    if noun.by_name:
        conditions.append(noun.name.icontains(wanted, autoescape=True))
    if not conditions:
        return []
    query = select(noun.table.c.id, noun.name.label("name")).where(or_(*conditions))
    query = _scoped(caller, noun, query).order_by(noun.name, noun.table.c.id).limit(PER_NOUN)
    return [_hit(noun, row.id, row.name) for row in await deps.read_model.rows(query)]


def _by_id(noun: Searchable, wanted: str) -> list[ColumnElement[bool]]:
    try:
        key = UUID(wanted)
    except ValueError:
        return []
    column = noun.table.c.id
    return [column == (str(key) if column.type.python_type is str else key)]


async def _of_databases(deps: Dependencies, caller: Caller, wanted: str) -> list[Hit]:
    """The newest backups of the first databases that are called so."""
    named = select(databases.c.id).where(databases.c.name.icontains(wanted, autoescape=True))
    query = select(backups.c.id, backups.c.database_name.label("name")).where(
        backups.c.database_id.in_(named.order_by(databases.c.name).limit(PER_NOUN))
    )
    query = query.where(visible(caller, Right.BACKUPS_READ, backups.c.server_id))
    newest = query.order_by(backups.c.requested_at.desc()).limit(PER_NOUN)
    (noun,) = (one for one in NOUNS if one.noun == "backup")
    return [_hit(noun, row.id, row.name) for row in await deps.read_model.rows(newest)]


def _scoped(caller: Caller, noun: Searchable, query: Select[Any]) -> Select[Any]:
    if noun.server is None:
        return query
    return query.where(visible(caller, noun.right, cast(noun.server, Text)))


def _hit(noun: Searchable, key: Any, name: str) -> Hit:
    return Hit(noun=noun.noun, id=str(key), name=name, href=f"/api/v1{noun.path}/{key}")


ROUTES = [
    search,
]
