"""Databases: what was found on the servers, and which policy keeps their backups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.appending import land
from services.gateway.configured import Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError, PreconditionFailedError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit, NamePart, Window, listed, named
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input, Label, convert
from services.gateway.rights import Right
from services.gateway.scope import holds, visible
from shared.bus import Draft, Expect, WrongSequenceError
from shared.errors import ForbiddenError
from shared.messages.settings import DatabaseSetting
from shared.readmodel.tables import databases, retention_policies

ServerFilter = Annotated[UUID | None, QueryParameter(description="Only databases of this server")]


class DatabaseChoice(Input, frozen=True, kw_only=True):
    """What an operator decides about a database."""

    policy_id: Label | None = None
    tags: Annotated[list[Label], Meta(max_length=20)] = []


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """A database that was seen on a server."""

    id: UUID
    server_id: UUID
    endpoint: str
    name: str
    size_bytes: int | None = None
    policy_id: str | None = None
    tags: list[str]
    seen_at: datetime | None = None
    version: int


def database_of(row: Row[Any]) -> Database:
    """A row as the API shows it."""
    return convert(row, Database)


DATABASE = Noun("database", databases, "/databases", database_of, server="server_id")


TagFilter = Annotated[
    str | None, QueryParameter(max_length=64, description="Only databases with this tag")
]
NameSort = Annotated[
    Literal["name", "-name"], QueryParameter(description="`-` turns the order round")
]


@get(
    "/databases",
    opt={"right": Right.DATABASES_READ},
    tags=["databases"],
    operation_id="list_databases",
)
async def list_databases(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    server_id: ServerFilter = None,
    name: NamePart = None,
    tag: TagFilter = None,
    sort: NameSort = "name",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Database]:
    """List the known databases by name."""
    query = select(databases).where(visible(caller, Right.DATABASES_READ, databases.c.server_id))
    if server_id is not None:
        query = query.where(databases.c.server_id == server_id)
    if tag is not None:
        query = query.where(databases.c.tags.contains([tag]))
    query = named(query, databases, name)
    window = Window(
        column=databases.c.name,
        id_column=databases.c.id,
        kind=tuple[str, str, UUID],
        limit=limit,
        cursor=cursor,
        descending=sort.startswith("-"),
    )
    return await listed(deps, query, window, database_of)


@get(
    "/databases/{database_id:uuid}",
    opt={"right": Right.DATABASES_READ},
    tags=["databases"],
    operation_id="get_database",
)
async def get_database(database_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Database]:
    """Show one database."""
    row = await configured.admitted(deps, caller, Right.DATABASES_READ, DATABASE, database_id)
    return configured.shown(row, DATABASE)


@put(
    "/databases/{database_id:uuid}",
    opt={"right": Right.DATABASES_WRITE},
    tags=["databases"],
    operation_id="replace_database",
)
async def replace_database(
    database_id: FromPath[UUID],
    data: JSONBody[DatabaseChoice],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Database]:
    """Say which policy keeps the database's backups, and its tags.

    Another policy can let backups expire, so to choose one needs the right policies.write.
    """
    subject = f"cfg.database.{database_id}"
    last = await deps.bus.last_of(subject)
    row = await configured.admitted(deps, caller, Right.DATABASES_WRITE, DATABASE, database_id)
    configured.at_version(DATABASE, row, request)
    if data.policy_id != row.policy_id and not holds(caller, Right.POLICIES_WRITE):
        raise ForbiddenError(
            f"the account lacks the right {Right.POLICIES_WRITE.value}",
            fix="ask an administrator to choose the policy",
        )
    await _refuse_unknown(deps, data)
    change = configured.changing(database_id, caller)
    setting = DatabaseSetting(**change.said_by(), policy_id=data.policy_id, tags=data.tags)
    try:
        # A database's version also counts what was found, so the setting has its own sequence.
        landed = await land(deps, Draft(setting, Expect(last[-1].seq if last else 0)))
    except WrongSequenceError as error:
        raise PreconditionFailedError("somebody changed the database at this moment") from error
    return await configured.changed(deps, landed, DATABASE, database_id)


async def _refuse_unknown(deps: Dependencies, data: DatabaseChoice) -> None:
    if data.policy_id is None:
        return
    query = select(retention_policies.c.id).where(retention_policies.c.id == data.policy_id)
    if await deps.read_model.one(query) is None:
        raise InvalidFieldsError(
            "there is no such policy", [InputFault("/policy_id", "no such policy")]
        )


ROUTES = [
    list_databases,
    get_database,
    replace_database,
]
