"""Audit entries: found, and one of them in detail with the change that its event made."""

from __future__ import annotations

import asyncio
from datetime import datetime
from ipaddress import ip_address
from typing import Any, NewType

import msgspec
from sqlalchemy import ColumnElement, FromClause, Row, Select, func, or_, select

from services.gateway.audit_search import Search
from services.gateway.changes import FieldChange, changes
from services.gateway.dependencies import Dependencies
from services.gateway.listing import Window, after, behind, listed
from services.gateway.live import without_sealed
from services.gateway.paging import Page
from services.gateway.representations import convert
from shared.errors import PlatformError
from shared.keys.sealed import Sealed, is_sealed
from shared.readmodel.tables import audit_logs, event_log

Address = NewType("Address", str)
ADDRESSED = ("user.%", "session.%", "api_key.%", "backup.download_requested")
"""The actions whose events may hold the address that they came from."""
READ_AT_ONCE = 500


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; `n` is its place in the tree, `seq` the event it stands for.

    `object_name` is what the object is called, or was called last; `actor_name` the API key that
    acted. Both are empty where there is no name, and for people, whose names are sealed.
    """

    n: int
    seq: int
    time: datetime
    actor: str
    actor_name: str = ""
    action: str
    object: str
    object_name: str = ""
    outcome: str
    request_id: str
    event_id: str


class AuditDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, what its event says without anything sealed, and what that changed.

    `previous` is the entry of the setting's version before. `address` is where it came from:
    None where that is not said, not yours to see, or erased.
    """

    entry: AuditEntry
    said: dict[str, Any]
    changes: list[FieldChange] = []
    previous: int | None = None
    address: str | None = None


def entry_of(row: Row[Any]) -> AuditEntry:
    """A row as the API shows it."""
    return convert(row, AuditEntry)


async def found_entries(
    deps: Dependencies, search: Search, limit: int, cursor: str | None
) -> Page[AuditEntry]:
    """A page of what matches, the newest first."""
    query = select(audit_logs).where(search.condition())
    return await listed(deps, query, newest_first(limit, cursor), entry_of)


async def from_address(
    deps: Dependencies, search: Search, address: Address, limit: int, cursor: str | None
) -> Page[AuditEntry]:
    """A page of the entries that came from an address: each candidate's is opened and compared."""
    window = newest_first(READ_AT_ONCE, cursor)
    query = _with_event().where(search.condition(), _may_hold_address())
    if cursor is not None:
        query = query.where(behind(deps, window, cursor))
    rows = await deps.read_model.rows(query.order_by(audit_logs.c.n.desc()).limit(READ_AT_ONCE))
    told = await asyncio.gather(*(_address(deps, said_by(row.data)) for row in rows))
    items: list[AuditEntry] = []
    for row, said in zip(rows, told, strict=True):
        if said is not None and _same(said, address):
            items.append(entry_of(row))
        if len(items) == limit:
            return Page(items=items, next_cursor=after(deps, window, row))
    more = len(rows) == READ_AT_ONCE
    return Page(items=items, next_cursor=after(deps, window, rows[-1]) if more else None)


async def detail_of(deps: Dependencies, row: Row[Any], *, personal: bool) -> AuditDetail:
    """An entry with what its event says; `personal`: the address, too."""
    event = await deps.read_model.one(_with_event().where(audit_logs.c.n == row.n))
    said = said_by(event.data) if event is not None else {}
    before, previous = await _before(deps, row)
    shown = {} if row.object.startswith("claim/") else without_sealed(said)
    return AuditDetail(
        entry=entry_of(row),
        said=shown,
        changes=changes(before, said) if _is_setting(row) else [],
        previous=previous,
        address=await _address(deps, said) if personal else None,
    )


def versions_of(about: str) -> Select[Any]:
    """Every stored version of a setting (`server/<id>`), with its bytes and those of the one that
    it followed (`before`)."""
    noun = about.partition("/")[0]
    before = func.lag(event_log.c.data).over(order_by=audit_logs.c.n).label("before")
    return (
        _with_event()
        .add_columns(before)
        .where(audit_logs.c.object == about, audit_logs.c.action == f"{noun}.set")
    )


async def _before(deps: Dependencies, row: Row[Any]) -> tuple[dict[str, Any] | None, int | None]:
    """The version that a setting's entry follows, and its number."""
    if not _is_setting(row):
        return None, None
    query = versions_of(row.object).where(audit_logs.c.n < row.n)
    found = await deps.read_model.one(query.order_by(audit_logs.c.n.desc()).limit(1))
    return (said_by(found.data), found.n) if found is not None else (None, None)


def _is_setting(row: Row[Any]) -> bool:
    return str(row.action).endswith(".set") and not row.object.startswith("claim/")


def _with_event() -> Select[Any]:
    return select(audit_logs, event_log.c.data).join(event_log, event_log.c.seq == audit_logs.c.seq)


def _may_hold_address() -> ColumnElement[bool]:
    return or_(*(audit_logs.c.action.like(pattern) for pattern in ADDRESSED))


def newest_first(limit: int, cursor: str | None, entries: FromClause = audit_logs) -> Window:
    """A page of audit entries by number, descending; `entries` is what they are selected from."""
    return Window(
        column=entries.c.n,
        id_column=entries.c.seq,
        kind=tuple[str, int, int],
        limit=limit,
        cursor=cursor,
        descending=True,
    )


def said_by(data: bytes) -> dict[str, Any]:
    """What an event's body says; nothing where it is no JSON object."""
    try:
        said = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


async def _address(deps: Dependencies, said: dict[str, Any]) -> str | None:
    """The peer that an event came from, opened; None where nothing is said, or it was erased."""
    sealed, person = said.get("address"), said.get("user_id", said.get("actor"))
    if not is_sealed(sealed):
        return None
    try:
        return await deps.vault.open(Sealed(**sealed), f"evt.user.{person}", "address")
    except PlatformError:
        return None


def _same(said: str, wanted: Address) -> bool:
    """Whether two spellings name one address."""
    try:
        return ip_address(said) == ip_address(wanted)
    except ValueError:
        return said == wanted
