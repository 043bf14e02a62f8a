"""Reaching a server: does it answer, and which databases does it hold."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from uuid_utils.compat import uuid7

from services.gateway import configured
from services.gateway.injection import Deps, Who
from services.gateway.representations import Accepted
from services.gateway.requests import asked
from services.gateway.rights import Right
from services.gateway.routes.servers import SERVER
from shared.messages.facts import (
    ServerDiscovered,
    ServerDiscoveryRequested,
    ServerTested,
    ServerTestRequested,
)
from shared.messages.values import DatabaseRef, Problem


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a connection test: versions by endpoint, or why it cannot be used."""

    ok: bool
    versions: dict[str, str]
    problem: Problem | None = None
    run_id: str


class FoundOne(msgspec.Struct, frozen=True, kw_only=True):
    """A database that was seen on the server just now."""

    id: str
    endpoint: str
    name: str
    size_bytes: int | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The databases of the server, or why they cannot be listed."""

    ok: bool
    databases: list[FoundOne]
    problem: Problem | None = None
    run_id: str


@post(
    "/servers/{server_id:uuid}/test-connection",
    opt={"right": Right.SERVERS_TEST},
    tags=["servers"],
    operation_id="test_server",
    status_code=200,
)
async def test_server(server_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Tested]:
    """Connect to every endpoint of the server, through its runner and pool."""
    row = await configured.admitted(deps, caller, Right.SERVERS_TEST, SERVER, str(server_id))
    run_id = uuid7()
    question = ServerTestRequested(
        server_id=server_id,
        run_id=run_id,
        run_pool=row.pool,
        actor=caller.actor,
        request_id=caller.request_id,
    )
    said = await asked(deps, question, ServerTested)
    if said is None:
        return _later(run_id)
    tested = Tested(
        ok=said.problem is None, versions=said.versions, problem=said.problem, run_id=str(run_id)
    )
    return Response(tested, status_code=200)


@get(
    "/servers/{server_id:uuid}/databases",
    opt={"right": Right.SERVERS_TEST},
    tags=["servers"],
    operation_id="discover_databases",
)
async def discover_databases(server_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Found]:
    """Look which databases the server holds now. `GET /databases` lists the known ones."""
    row = await configured.admitted(deps, caller, Right.SERVERS_TEST, SERVER, str(server_id))
    run_id = uuid7()
    question = ServerDiscoveryRequested(
        server_id=server_id,
        run_id=run_id,
        run_pool=row.pool,
        actor=caller.actor,
        request_id=caller.request_id,
    )
    said = await asked(deps, question, ServerDiscovered)
    if said is None:
        return _later(run_id)
    return Response(_found(said), status_code=200)


def _found(said: ServerDiscovered) -> Found:
    return Found(
        ok=said.problem is None,
        databases=[
            FoundOne(
                id=str(
                    DatabaseRef(server_id=said.server_id, endpoint=it.endpoint, name=it.name).id
                ),
                endpoint=it.endpoint,
                name=it.name,
                size_bytes=it.size_bytes,
            )
            for it in said.databases
        ],
        problem=said.problem,
        run_id=str(said.run_id),
    )


def _later(run_id: UUID) -> Response[Any]:
    """202: no worker answered yet; the run goes on."""
    location = f"/api/v1/runs/{run_id}"
    accepted = Accepted(id=str(run_id), href=location)
    return Response(accepted, status_code=202, headers={"Location": location})


ROUTES = [
    test_server,
    discover_databases,
]
