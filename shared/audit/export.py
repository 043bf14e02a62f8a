"""The audit log as one text file that proves itself: a head, the checkpoints, the entries.

Each line is canonical JSON. The entries end where the last checkpoint ends: what no checkpoint
covers yet is not proven, so it is left for the next export.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Row, select

from shared.archive.encoding import canonical
from shared.audit.leaf import Leaf
from shared.errors import NotFoundError
from shared.messages.values import AuditHandover
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import audit_checkpoints, audit_logs, event_log

FORMAT = "holdfast/audit-export@v1"
PAGE = 2000


class Head(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The first line. `origin` and `fingerprint` are for people: a verifier brings its own key.

    `handovers` prove themselves; they are there once the audit key was replaced.
    """

    format: str
    origin: str
    fingerprint: str
    entries: int
    checkpoints: int
    handovers: list[AuditHandover] = []


class NoteLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint, as it was signed."""

    note: str


class ExportedEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event that a leaf is about; `data` is base64."""

    subject: str
    headers: dict[str, str]
    data: str


class EntryLine(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A leaf, and the event where the export has it."""

    leaf: Leaf
    event: ExportedEvent | None = None


async def export_lines(
    model: ReadModel,
    *,
    fingerprint: str,
    handovers: Sequence[AuditHandover] = (),
    events: bool = False,
) -> AsyncIterator[bytes]:
    """The lines of an export, each with its newline; memory stays bounded.

    `events` adds the bytes that the leaves are about. Raises NotFoundError before the first
    checkpoint was signed.
    """
    notes = await model.rows(select(audit_checkpoints.c.note).order_by(audit_checkpoints.c.size))
    if not notes:
        raise NotFoundError("no checkpoint of the audit log was signed yet")
    origin, size, *_ = notes[-1].note.split("\n")
    yield _line(
        Head(
            format=FORMAT,
            origin=origin,
            fingerprint=fingerprint,
            entries=int(size),
            checkpoints=len(notes),
            handovers=[*handovers],
        )
    )
    for row in notes:
        yield _line(NoteLine(row.note))
    for first in range(0, int(size), PAGE):
        for row in await model.rows(_page(first, min(first + PAGE, int(size)), events=events)):
            yield _line(_entry(row, events=events))


async def export_audit(
    model: ReadModel, path: Path, *, fingerprint: str, events: bool = False
) -> int:
    """Write an export to `path`; returns how many lines it has."""
    count = 0
    with path.open("wb") as file:
        async for line in export_lines(model, fingerprint=fingerprint, events=events):
            file.write(line)
            count += 1
    return count


def _page(first: int, end: int, *, events: bool) -> Any:
    query = select(audit_logs.c.leaf).where(audit_logs.c.n >= first, audit_logs.c.n < end)
    if events:
        query = query.join(event_log, event_log.c.seq == audit_logs.c.seq).add_columns(
            event_log.c.subject, event_log.c.headers, event_log.c.data
        )
    return query.order_by(audit_logs.c.n)


def _entry(row: Row[Any], *, events: bool) -> EntryLine:
    leaf = msgspec.json.decode(row.leaf, type=Leaf)
    if not events:
        return EntryLine(leaf=leaf)
    event = ExportedEvent(
        subject=row.subject,
        headers=msgspec.json.decode(row.headers, type=dict[str, str]),
        data=base64.b64encode(row.data).decode(),
    )
    return EntryLine(leaf=leaf, event=event)


def _line(part: msgspec.Struct) -> bytes:
    return canonical(part) + b"\n"
