"""The whole audit log to take away: as lines that prove themselves, or as a table for people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream
from sqlalchemy import select
from uuid_utils.compat import uuid7

from services.gateway.csv_table import csv_line
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.rights import Right
from shared.archive.keys import fingerprint
from shared.audit.export import PAGE, export_lines
from shared.errors import NotFoundError
from shared.messages.facts import AuditExported
from shared.readmodel.configured import platform_of
from shared.readmodel.tables import audit_logs, platform

WithEvents = Annotated[
    bool, QueryParameter(description="Also the bytes that the entries are about (only jsonl)")
]
ExportFormat = Annotated[
    Literal["jsonl", "csv"],
    QueryParameter(name="format", description="jsonl proves itself; csv is for people"),
]
COLUMNS = (
    *("n", "time", "actor", "action", "object", "outcome"),
    *("request_id", "event_id", "seq"),
)


@get(
    "/audit/export",
    opt={"right": Right.AUDIT_EXPORT, "streams": ("application/x-ndjson", "text/csv")},
    tags=["audit"],
    operation_id="export_audit",
)
async def export_audit(
    deps: Deps, caller: Who, kind: ExportFormat = "jsonl", events: WithEvents = False
) -> Stream:
    """The whole audit log; as jsonl `holdfast audit verify` proves it offline. The taking is
    itself an entry."""
    lines = _csv(deps) if kind == "csv" else await _jsonl(deps, events=events)
    first = await anext(lines)  # so that a log without a checkpoint is a problem, not a cut stream
    exported = AuditExported(
        export_id=uuid7(),
        format=kind,
        events=events,
        actor=caller.actor,
        request_id=caller.request_id,
    )
    await deps.bus.append(exported)
    media_type = "text/csv; charset=utf-8" if kind == "csv" else "application/x-ndjson"
    name = f'attachment; filename="audit.{kind}"'
    return Stream(
        _with_first(first, lines), media_type=media_type, headers={"Content-Disposition": name}
    )


async def _jsonl(deps: Dependencies, *, events: bool) -> AsyncIterator[bytes]:
    row = await deps.read_model.one(select(platform))
    if row is None:
        raise NotFoundError("this installation has no identity yet", fix="start it once")
    known = platform_of(row)
    return export_lines(
        deps.read_model,
        fingerprint=fingerprint(bytes.fromhex(known.audit_public_key)),
        handovers=known.handovers,
        events=events,
    )


async def _csv(deps: Dependencies) -> AsyncIterator[bytes]:
    """A head, then all entries there are at each page; memory stays bounded."""
    yield csv_line(COLUMNS)
    columns = [audit_logs.c[name] for name in COLUMNS]
    next_n = 0
    while True:
        query = select(*columns).where(audit_logs.c.n >= next_n, audit_logs.c.n < next_n + PAGE)
        rows = await deps.read_model.rows(query.order_by(audit_logs.c.n))
        if not rows:
            return
        yield b"".join(csv_line([*row]) for row in rows)
        next_n = rows[-1].n + 1


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line


ROUTES = [
    export_audit,
]
