"""Servers: the places where databases live."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta
from sqlalchemy import ColumnElement, Row, false, select

from services.gateway import configured
from services.gateway.callers import Caller
from services.gateway.configured import Change, Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.granting import Environment, refuse_unknown_groups
from services.gateway.grants import in_roles, rights_at
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByName, Cursor, Limit, NamePart, listed, named, sorted_by
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.plugin_configs import NOTHING, Stored, accepted, same_settings, sealed
from services.gateway.representations import Input, Label, Name, convert
from services.gateway.rights import Right
from services.gateway.routes.commands import COMMAND, Command, command_of
from services.gateway.scope import Place, require, visible
from shared.keys.plugins import without_secrets
from shared.messages.base import CORE
from shared.messages.settings import ServerSetting
from shared.messages.values import Endpoint, PluginConfig, Problem
from shared.plugins import Schema
from shared.readmodel.tables import servers

HealthNow = Literal["unknown", "healthy", "degraded", "unreachable"]
EnvironmentFilter = Annotated[
    str | None, QueryParameter(max_length=64, description="Only servers of this environment")
]
HealthFilter = Annotated[
    HealthNow | None, QueryParameter(description="Only servers that do like this")
]
GroupFilter = Annotated[
    str | None, QueryParameter(max_length=64, description="Only servers of this group")
]
ExecutesFilter = Annotated[
    UUID | None,
    QueryParameter(description="Only servers on which the caller may execute this command"),
]


class NewEndpoint(Input, frozen=True, kw_only=True):
    """One engine on the server. `engine` is described by `GET /plugins`."""

    name: Label
    engine: PluginConfig

    def __repr__(self) -> str:
        return f"NewEndpoint(name={self.name!r})"


class NewServer(Input, frozen=True, kw_only=True):
    """A server as a caller describes it. Secrets go in, and never come out."""

    name: Name
    environment: Environment = "production"
    pool: Label = CORE
    runner: PluginConfig
    endpoints: Annotated[list[NewEndpoint], Meta(min_length=1, max_length=20)]
    run_limit: Annotated[int, Meta(ge=1, le=32)] = 2
    group_ids: Annotated[list[Label], Meta(max_length=20)] = []

    def __repr__(self) -> str:
        return f"NewServer(name={self.name!r})"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server, without its secrets. `may` is what the caller may do with it and with what belongs
    to it: its databases, their backups and runs."""

    id: str
    name: str
    environment: str
    pool: str
    runner: PluginConfig
    endpoints: list[Endpoint]
    run_limit: int
    group_ids: list[str]
    may: list[Right] = []
    health: HealthNow
    health_problem: Problem | None = None
    health_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    version: int


def server_of(row: Row[Any]) -> Server:
    """A row as the API shows it."""
    shown = [{**point, "engine": without_secrets(point["engine"])} for point in row.endpoints]
    return convert(row, Server, runner=without_secrets(row.runner), endpoints=shown)


SERVER = Noun("server", servers, "/servers", server_of, server="id")


def _seen_by(caller: Caller) -> Noun[Server]:
    """The noun, as it is shown to a caller."""

    def view(row: Row[Any]) -> Server:
        may = rights_at(caller, Place(row.environment, tuple(row.group_ids)))
        return msgspec.structs.replace(server_of(row), may=may)

    return msgspec.structs.replace(SERVER, view=view)


def _executes(caller: Caller, command: Command) -> ColumnElement[bool]:
    """The condition for servers on which the caller may execute the command."""
    narrowed = in_roles(caller, command.roles)
    return false() if narrowed is None else visible(narrowed, Right.COMMANDS_EXECUTE, servers.c.id)


@get("/servers", opt={"right": Right.SERVERS_READ}, tags=["servers"], operation_id="list_servers")
async def list_servers(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    name: NamePart = None,
    environment: EnvironmentFilter = None,
    health: HealthFilter = None,
    group_id: GroupFilter = None,
    executes: ExecutesFilter = None,
    sort: ByName = "name",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Server]:
    """List the servers by name."""
    query = select(servers).where(visible(caller, Right.SERVERS_READ, servers.c.id))
    if environment is not None:
        query = query.where(servers.c.environment == environment)
    if health is not None:
        query = query.where(servers.c.health == health)
    if group_id is not None:
        query = query.where(servers.c.group_ids.contains([group_id]))
    if executes is not None:
        command = command_of(await configured.row_of(deps, COMMAND, str(executes)))
        query = query.where(_executes(caller, command))
    window = sorted_by(servers, sort, limit, cursor)
    return await listed(deps, named(query, servers, name), window, _seen_by(caller).view)


@post(
    "/servers",
    opt={"right": Right.SERVERS_WRITE},
    tags=["servers"],
    operation_id="create_server",
    status_code=201,
)
async def create_server(
    data: JSONBody[NewServer], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Server]:
    """Register a server. Its secrets are sealed before anything is stored."""
    require(caller, Right.SERVERS_WRITE, _place(data))

    async def create(thing: UUID) -> Answer:
        change = configured.creating(thing, caller)

        async def make() -> ServerSetting:
            return await _setting(deps, change, data, None)

        return await configured.create(deps, _seen_by(caller), change, data.name, make)

    return await once(request, deps, caller, create)


@get(
    "/servers/{server_id:uuid}",
    opt={"right": Right.SERVERS_READ},
    tags=["servers"],
    operation_id="get_server",
)
async def get_server(server_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Server]:
    """Show one server."""
    row = await configured.admitted(deps, caller, Right.SERVERS_READ, SERVER, str(server_id))
    return configured.shown(row, _seen_by(caller))


@put(
    "/servers/{server_id:uuid}",
    opt={"right": Right.SERVERS_WRITE},
    tags=["servers"],
    operation_id="replace_server",
)
async def replace_server(
    server_id: FromPath[UUID],
    data: JSONBody[NewServer],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Server]:
    """Replace a server's settings. An absent secret keeps the stored one, unless the way to the
    server or the other settings beside the secret change: then it is needed again."""
    row = await _current(deps, caller, server_id, request)
    require(caller, Right.SERVERS_WRITE, _place(data))
    setting = await _setting(deps, configured.changing(server_id, caller), data, row)
    return await configured.replace(deps, _seen_by(caller), row, setting, data.name)


@delete(
    "/servers/{server_id:uuid}",
    opt={"right": Right.SERVERS_WRITE},
    tags=["servers"],
    operation_id="delete_server",
    status_code=204,
)
async def delete_server(
    server_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Forget a server. Its backups stay, and can be restored onto another one."""
    row = await _current(deps, caller, server_id, request)
    await configured.remove(deps, SERVER, row, caller)


async def _current(
    deps: Dependencies, caller: Caller, server_id: UUID, request: Request[Any, Any, Any]
) -> Row[Any]:
    """The server at the version of If-Match, for a caller who may change it where it stands."""
    row = await configured.admitted(deps, caller, Right.SERVERS_WRITE, SERVER, str(server_id))
    return configured.at_version(SERVER, row, request)


def _place(data: NewServer) -> Place:
    """Where the server would stand: nobody puts one where they may not change it."""
    return Place(data.environment, tuple(data.group_ids))


async def _setting(
    deps: Dependencies, change: Change, data: NewServer, before: Row[Any] | None
) -> ServerSetting:
    """The new state with every secret sealed; `before` is the row that it replaces."""
    _refuse_twins(data)
    await refuse_unknown_groups(deps, data.group_ids)
    subject = f"cfg.server.{change.key}"
    runner, schema = await accepted(deps, "runner", data.runner, "/runner", _old(before, data))
    return ServerSetting(
        **change.said_by(),
        name=data.name,
        environment=data.environment,
        pool=data.pool,
        runner=await sealed(deps, subject, "runner", runner, schema),
        endpoints=[
            Endpoint(
                name=name,
                engine=await sealed(deps, subject, f"endpoints.{name}", engine, engine_schema),
            )
            for name, (engine, engine_schema) in (
                await _accepted_endpoints(deps, data, before, schema)
            ).items()
        ],
        run_limit=data.run_limit,
        group_ids=sorted(set(data.group_ids)),
    )


def _old(before: Row[Any] | None, data: NewServer) -> Stored:
    return Stored(before.runner, moved=before.pool != data.pool) if before else NOTHING


async def _accepted_endpoints(
    deps: Dependencies, data: NewServer, before: Row[Any] | None, runner: Schema
) -> dict[str, tuple[PluginConfig, Schema]]:
    """Name -> settings and schema. A changed runner or pool is another way to every engine."""
    stored: dict[str, Stored] = {}
    if before is not None:
        same = data.pool == before.pool and same_settings(runner, data.runner, before.runner)
        stored = {p["name"]: Stored(p["engine"], moved=not same) for p in before.endpoints}
    return {
        point.name: await accepted(
            deps,
            "engine",
            point.engine,
            f"/endpoints/{number}/engine",
            stored.get(point.name, NOTHING),
        )
        for number, point in enumerate(data.endpoints)
    }


def _refuse_twins(data: NewServer) -> None:
    names = [point.name for point in data.endpoints]
    for number, name in enumerate(names):
        if name in names[:number]:
            fault = InputFault(f"/endpoints/{number}/name", "used twice on this server")
            raise InvalidFieldsError("two endpoints have the same name", [fault])


ROUTES = [
    list_servers,
    create_server,
    get_server,
    replace_server,
    delete_server,
]
