"""The audit log: who did what, with proof that nothing was changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Stream
from sqlalchemy import Row, select

from services.gateway.injection import Deps
from services.gateway.listing import Cursor, Limit, Window, listed
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import convert
from services.gateway.rights import Right
from shared.archive.keys import fingerprint
from shared.audit.export import export_lines
from shared.errors import NotFoundError
from shared.readmodel.tables import audit_checkpoints, audit_logs, platform

ObjectFilter = Annotated[
    str | None, QueryParameter(max_length=200, description="Only entries about this object")
]
ActorFilter = Annotated[
    str | None, QueryParameter(max_length=100, description="Only entries of this actor")
]
WithEvents = Annotated[
    bool, QueryParameter(description="Also the bytes that the entries are about")
]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; `n` is its place in the tree, `seq` the event it stands for."""

    n: int
    seq: int
    time: datetime
    actor: str
    action: str
    object: str
    outcome: str
    request_id: str
    event_id: str


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The newest signed statement about the whole log (a C2SP signed note)."""

    size: int
    root: str
    note: str
    at: datetime


def entry_of(row: Row[Any]) -> AuditEntry:
    """A row as the API shows it."""
    return convert(row, AuditEntry)


@get("/audit/logs", opt={"right": Right.AUDIT_READ}, tags=["audit"], operation_id="list_audit")
async def list_audit(
    deps: Deps,
    about: ObjectFilter = None,
    actor: ActorFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[AuditEntry]:
    """List audit entries, the newest first."""
    query = select(audit_logs)
    if about is not None:
        query = query.where(audit_logs.c.object == about)
    if actor is not None:
        query = query.where(audit_logs.c.actor == actor)
    window = Window(
        column=audit_logs.c.n,
        id_column=audit_logs.c.seq,
        kind=tuple[str, int, int],
        limit=limit,
        cursor=cursor,
        descending=True,
    )
    return await listed(deps, query, window, entry_of)


@get(
    "/audit/checkpoint",
    opt={"right": Right.AUDIT_READ},
    tags=["audit"],
    operation_id="show_checkpoint",
)
async def show_checkpoint(deps: Deps) -> Response[Checkpoint]:
    """The newest signed checkpoint."""
    query = select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(1)
    row = await deps.read_model.one(query)
    if row is None:
        raise NotFoundError("no checkpoint was signed yet", fix="wait a minute")
    return Response(convert(row, Checkpoint, root=row.root.hex()))


@get(
    "/audit/export",
    opt={"right": Right.AUDIT_EXPORT},
    tags=["audit"],
    operation_id="export_audit",
    media_type="application/x-ndjson",
)
async def export_audit(deps: Deps, events: WithEvents = False) -> Stream:
    """The whole audit log with its checkpoints; `holdfast audit verify` proves it offline."""
    row = await deps.read_model.one(select(platform.c.setting))
    if row is None:
        raise NotFoundError("this installation has no identity yet", fix="start it once")
    public = bytes.fromhex(row.setting["audit_public_key"])
    lines = export_lines(deps.read_model, fingerprint=fingerprint(public), events=events)
    first = await anext(lines)  # so that a log without a checkpoint is a problem, not a cut stream
    return Stream(_with_first(first, lines), media_type="application/x-ndjson")


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line


ROUTES = [
    list_audit,
    show_checkpoint,
    export_audit,
]
