"""Executions: a command template on a server, asked for and listed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.appending import land, seen
from services.gateway.audit_search import ActorFilter, Since, Until, said_by_whom_when
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError, KeyReusedError
from services.gateway.grants import in_roles
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByTime, Cursor, Limit, Window, listed
from services.gateway.once import Answer, answer, first_id, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input, Text, convert
from services.gateway.rights import Right
from services.gateway.routes.commands import COMMAND, Command, Value, VariableName, command_of, fits
from services.gateway.scope import admit, visible
from shared.bus import Draft, Expect, WrongSequenceError
from shared.errors import ForbiddenError
from shared.messages.base import consequence
from shared.messages.facts import ExecutionRequested
from shared.messages.values import Problem
from shared.readmodel.tables import command_executions, servers

Values = Annotated[dict[VariableName, Value], Meta(max_length=50)]


OnServer = Annotated[UUID | None, QueryParameter(description="Only those on this server")]
Status = Literal["requested", "failed"]
InStatus = Annotated[Status | None, QueryParameter(description="Only those that stand so")]


class NewExecution(Input, frozen=True, kw_only=True):
    """On which server, and what fills the blanks. `reason` stays in the audit log."""

    server_id: UUID
    variables: Values = {}
    reason: Text = ""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a command template."""

    id: UUID
    run_id: UUID
    command_id: str
    command_version: int
    server_id: UUID
    variables: dict[str, str]
    status: Status
    problem: Problem | None = None
    actor: str
    reason: str
    requested_at: datetime
    ended_at: datetime | None = None
    version: int


def execution_of(row: Row[Any]) -> Execution:
    """A row as the API shows it."""
    return convert(row, Execution)


@post(
    "/commands/{command_id:uuid}/execute",
    opt={"right": Right.COMMANDS_EXECUTE},
    tags=["commands"],
    operation_id="execute_command",
    status_code=202,
)
async def execute_command(
    command_id: FromPath[UUID],
    data: JSONBody[NewExecution],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Execution]:
    """Execute a command template on a server; `Location` leads to its run."""
    command = command_of(await configured.row_of(deps, COMMAND, str(command_id)))
    narrowed = in_roles(caller, command.roles)
    if narrowed is None:
        names = ", ".join(role.value for role in command.roles)
        raise ForbiddenError(f"this command may only be executed as {names}")
    await admit(deps, narrowed, Right.COMMANDS_EXECUTE, data.server_id)
    server = await deps.read_model.one(
        select(servers.c.pool).where(servers.c.id == str(data.server_id))
    )
    if server is None:
        fault = InputFault("/server_id", "no such server")
        raise InvalidFieldsError("the server does not exist", [fault])
    values = _filled(command, data.variables)

    async def create(thing: UUID) -> Answer:
        asked = ExecutionRequested(
            id=first_id(thing),
            execution_id=thing,
            run_id=consequence(thing, "run"),
            command_id=command.id,
            command_version=command.version,
            server_id=data.server_id,
            run_pool=server.pool,
            variables=values,
            reason=data.reason,
            actor=caller.actor,
            request_id=caller.request_id,
        )
        return await _ask(deps, asked)

    return await once(request, deps, caller, create)


def _filled(command: Command, given: dict[str, str]) -> dict[str, str]:
    """Every blank's value, or its default; raises InvalidFieldsError."""
    faults = [*_faults(command, given)]
    if faults:
        raise InvalidFieldsError("the variables do not fit the template", faults)
    defaults = {one.name: one.default for one in command.variables if one.default is not None}
    return {**defaults, **given}


def _faults(command: Command, given: dict[str, str]) -> Iterator[InputFault]:
    known = {one.name: one for one in command.variables}
    for name, value in given.items():
        if name not in known:
            yield InputFault(f"/variables/{name}", "the template has no such variable")
        elif not fits(known[name], value):
            yield InputFault(f"/variables/{name}", f"not a value of type {known[name].type}")
    for one in command.variables:
        if one.required and one.default is None and one.name not in given:
            yield InputFault(f"/variables/{one.name}", "needed")


async def _ask(deps: Dependencies, asked: ExecutionRequested) -> Answer:
    try:
        landed = await land(deps, Draft(asked, Expect(0)))
    except WrongSequenceError:
        landed = None
    if landed is None or landed.already:
        asked = await _stored(deps, asked)
    query = select(command_executions).where(command_executions.c.id == asked.execution_id)
    row = await seen(deps, query)
    shown = execution_of(row) if row is not None else _new(asked, landed.seq if landed else 0)
    return answer(202, shown, f"/api/v1/runs/{asked.run_id}")


async def _stored(deps: Dependencies, asked: ExecutionRequested) -> ExecutionRequested:
    """What an earlier try with the same key has stored; raises when that was another request."""
    last = await deps.bus.last_of(asked.subject)
    stored = last[-1].message if last else None
    if not isinstance(stored, ExecutionRequested) or _wish(stored) != _wish(asked):
        raise KeyReusedError("this Idempotency-Key was used for a different execution")
    return stored


def _wish(asked: ExecutionRequested) -> tuple[Any, ...]:
    return (asked.command_id, asked.server_id, asked.variables, asked.reason)


def _new(asked: ExecutionRequested, seq: int) -> Execution:
    return Execution(
        id=asked.execution_id,
        run_id=asked.run_id,
        command_id=asked.command_id,
        command_version=asked.command_version,
        server_id=asked.server_id,
        variables=asked.variables,
        status="requested",
        actor=asked.actor,
        reason=asked.reason,
        requested_at=asked.at.astimezone(UTC),
        version=seq,
    )


@get(
    "/commands/{command_id:uuid}/executions",
    opt={"right": Right.COMMANDS_READ},
    tags=["commands"],
    operation_id="list_executions",
)
async def list_executions(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    command_id: FromPath[UUID],
    deps: Deps,
    caller: Who,
    server_id: OnServer = None,
    status: InStatus = None,
    actor: ActorFilter = None,
    since: Since = None,
    until: Until = None,
    sort: ByTime = "-requested_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Execution]:
    """List the executions of a command template, the newest first; also of a deleted one."""
    window = Window(
        column=command_executions.c.requested_at,
        id_column=command_executions.c.id,
        kind=tuple[str, datetime, UUID],
        limit=limit,
        cursor=cursor,
        descending=sort.startswith("-"),
    )
    query = select(command_executions).where(
        command_executions.c.command_id == str(command_id),
        visible(caller, Right.RUNS_READ, command_executions.c.server_id),
    )
    table = command_executions.c
    for column, given in ((table.server_id, server_id), (table.status, status)):
        query = query if given is None else query.where(column == given)
    query = query.where(*said_by_whom_when(table.actor, table.requested_at, actor, since, until))
    return await listed(deps, query, window, execution_of)


ROUTES = [
    execute_command,
    list_executions,
]
