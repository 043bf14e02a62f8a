"""Runs: what is worked on, its progress and its log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from sqlalchemy import Row

from services.gateway import configured
from services.gateway.appending import land
from services.gateway.configured import Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import LogExpiredError, RunEndedError
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByTime, Cursor, Limit, Window, listed
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Accepted, convert
from services.gateway.rights import Right
from services.gateway.run_subjects import named_runs, runs_of
from services.gateway.scope import visible
from shared.bus import Draft, Expect, WrongSequenceError
from shared.bus.base import LOGS
from shared.messages.facts import RunCancelRequested
from shared.readmodel.tables import runs

OPEN = ("requested", "dispatched", "running")
ENDED = ("completed", "failed", "cancelled")
SILENCE_S = 10.0
"""How long to wait for a line that was there a moment ago: it may have expired meanwhile."""

RunStatus = Literal["requested", "dispatched", "running", "completed", "failed", "cancelled"]
RunKind = Literal["backup", "restore", "verification", "command", "test", "discovery"]
StatusFilter = Annotated[RunStatus | None, QueryParameter(description="Only runs in this status")]
KindFilter = Annotated[RunKind | None, QueryParameter(description="Only runs of this kind")]
ServerFilter = Annotated[UUID | None, QueryParameter(description="Only runs on this server")]
DatabaseFilter = Annotated[
    UUID | None,
    QueryParameter(description="Only runs that backed up, read or restored this database"),
]
EndedFilter = Annotated[
    bool | None,
    QueryParameter(description="Only runs that ended, or only those that have not"),
]


class RunShown(msgspec.Struct, frozen=True, kw_only=True):
    """One run; `object_id` is the backup, restore, execution or server it is about.

    `object_name` is the database that was backed up or that a restore comes from, or the command;
    none for what is about a server, and for what stands outside the caller's scope. `target_name`
    is the database that a restore makes; a `test` makes it in a throw-away instance.
    """

    id: UUID
    kind: str
    object_id: UUID
    object_name: str | None = None
    database_id: UUID | None = None
    target_name: str | None = None
    test: bool | None = None
    server_id: UUID
    pool: str
    status: RunStatus
    attempts: int
    worker: str | None = None
    problem: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    cancel_requested_at: datetime | None = None
    requested_at: datetime
    dispatched_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    actor: str
    version: int


def run_of(row: Row[Any]) -> RunShown:
    """A row as the API shows it."""
    return convert(row, RunShown)


RUN = Noun("run", runs, "/runs", run_of, server="server_id")


@get("/runs", opt={"right": Right.RUNS_READ}, tags=["runs"], operation_id="list_runs")
async def list_runs(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    status: StatusFilter = None,
    kind: KindFilter = None,
    server_id: ServerFilter = None,
    database_id: DatabaseFilter = None,
    ended: EndedFilter = None,
    sort: ByTime = "-requested_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RunShown]:
    """List runs, the newest first."""
    query = named_runs(caller).where(visible(caller, Right.RUNS_READ, runs.c.server_id))
    if status is not None:
        query = query.where(runs.c.status == status)
    if kind is not None:
        query = query.where(runs.c.kind == kind)
    if server_id is not None:
        query = query.where(runs.c.server_id == server_id)
    if database_id is not None:
        query = query.where(runs.c.id.in_(runs_of(caller, database_id)))
    if ended is not None:
        query = query.where(runs.c.status.in_(ENDED if ended else OPEN))
    window = Window(
        column=runs.c.requested_at,
        id_column=runs.c.id,
        kind=tuple[str, datetime, UUID],
        limit=limit,
        cursor=cursor,
        descending=sort.startswith("-"),
    )
    return await listed(deps, query, window, run_of)


@get("/runs/{run_id:uuid}", opt={"right": Right.RUNS_READ}, tags=["runs"], operation_id="get_run")
async def get_run(run_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[RunShown]:
    """Show one run."""
    row = await configured.admitted(deps, caller, Right.RUNS_READ, RUN, run_id)
    named = await deps.read_model.one(named_runs(caller).where(runs.c.id == run_id))
    return configured.shown(named or row, RUN)


@post(
    "/runs/{run_id:uuid}/cancel",
    opt={"right": Right.RUNS_CANCEL},
    tags=["runs"],
    operation_id="cancel_run",
    status_code=202,
)
async def cancel_run(run_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Accepted]:
    """Stop a run. It ends as cancelled, unless it was faster."""
    row = await configured.admitted(deps, caller, Right.RUNS_CANCEL, RUN, run_id)
    if row.status in ENDED:
        raise RunEndedError(f"the run is {row.status} already")
    wish = RunCancelRequested(
        run_id=run_id, pool=row.pool, actor=caller.actor, request_id=caller.request_id
    )
    with suppress(WrongSequenceError):  # somebody asked before: one request is enough
        await land(deps, Draft(wish, Expect(0)))
    location = f"/api/v1/runs/{run_id}"
    accepted = Accepted(id=str(run_id), href=location)
    return Response(accepted, status_code=202, headers={"Location": location})


@get(
    "/runs/{run_id:uuid}/log",
    opt={"right": Right.RUNS_READ},
    tags=["runs"],
    operation_id="read_run_log",
    media_type="application/x-ndjson",
)
async def read_run_log(run_id: FromPath[UUID], deps: Deps, caller: Who) -> Stream:
    """The run's log lines and progress so far, one JSON object a line."""
    row = await configured.admitted(deps, caller, Right.RUNS_READ, RUN, run_id)
    lines = _lines(deps, run_id)
    first = await anext(lines, None)
    if first is None and row.status in ENDED:
        raise LogExpiredError("the run has ended, and its live log is gone")
    return Stream(_all(first, lines), media_type="application/x-ndjson")


async def _all(first: bytes | None, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first is not None:
        yield first
    async for line in rest:
        yield line


async def _lines(deps: Dependencies, run_id: UUID) -> AsyncIterator[bytes]:
    """What LOGS holds of the run, up to what was its last when it was asked for."""
    subject = f"log.*.{run_id}"
    newest = await deps.bus.last_of(subject)
    deliveries = aiter(deps.bus.follow(LOGS, after_seq=0, filters=(subject,)))
    while newest:
        try:
            async with asyncio.timeout(SILENCE_S):
                delivery = await anext(deliveries)
        except (TimeoutError, StopAsyncIteration):
            return
        yield delivery.data + b"\n"
        if delivery.seq >= newest[-1].seq:
            return


ROUTES = [
    list_runs,
    get_run,
    cancel_run,
    read_run_log,
]
