"""What things are called: an id says nothing to a reader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    Table,
    Uuid,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy import Text as SqlText

from services.gateway.audit_entries import said_by
from services.gateway.dependencies import Dependencies
from shared.readmodel import tables
from shared.readmodel.among import among
from shared.readmodel.tables import (
    archives,
    audit_logs,
    command_executions,
    event_log,
    notifications,
    restores,
    runs,
)

SETTINGS: Mapping[str, Table] = {
    "api_key": tables.api_keys,
    "blackout": tables.blackouts,
    "channel": tables.notification_channels,
    "command": tables.commands,
    "group": tables.server_groups,
    "objective": tables.objectives,
    "policy": tables.retention_policies,
    "rule": tables.notification_rules,
    "schedule": tables.schedules,
    "server": tables.servers,
    "store": tables.stores,
    "template": tables.notification_templates,
}
"""What is configured, by noun. People are not among them: their names are sealed."""


def _text(column: ColumnElement[Any]) -> ColumnElement[str]:
    return cast(column, SqlText)


_NAMES: dict[str, tuple[ColumnElement[Any], ColumnElement[Any]]] = {
    noun: (table.c.id, table.c.name) for noun, table in SETTINGS.items()
} | {
    "backup": (tables.backups.c.id, tables.backups.c.database_name),
    "database": (tables.databases.c.id, tables.databases.c.name),
}
"""By noun: the column of the id, and the one of the name."""

_INTO = case(
    (or_(restores.c.test, restores.c.deep), ""), else_=literal(" into ") + restores.c.target_name
)
_RUN_OF = case(
    (runs.c.kind.in_(("backup", "verify")), "backup/"),
    (runs.c.kind.in_(("restore", "verification")), "restore/"),
    (runs.c.kind == "command", "execution/"),
    else_="server/",
)
_OF: dict[str, tuple[ColumnElement[Any], ColumnElement[str], Any, Any]] = {
    "archive": (archives.c.id, "backup/" + _text(archives.c.backup_id), "", ""),
    "execution": (command_executions.c.id, "command/" + command_executions.c.command_id, "", ""),
    "notification": (notifications.c.id, "channel/" + notifications.c.channel_id, "", ""),
    "redelivery": (notifications.c.id, "channel/" + notifications.c.channel_id, "", ""),
    "restore": (restores.c.id, "backup/" + _text(restores.c.backup_id), "", _INTO),
    "run": (runs.c.id, _RUN_OF + _text(runs.c.object_id), runs.c.kind + literal(" of "), ""),
}
"""What has no name of its own is called after something else: the id, what that is, and the words
before and behind its name."""


async def names_of(deps: Dependencies, things: Iterable[str]) -> dict[str, str]:
    """`server/<id>` -> its name, or the last it had; without those of which none is known."""
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for thing in things:
        noun, _, key = thing.partition("/")
        if _is_id(key):
            wanted[noun].add(key)
    names = await _own(deps, wanted) | await _after_others(deps, wanted)
    gone = {
        f"{noun}/{key}"
        for noun in wanted.keys() & SETTINGS.keys()
        for key in wanted[noun]
        if f"{noun}/{key}" not in names
    }
    return names | await _last(deps, gone) if gone else names


async def _own(deps: Dependencies, wanted: Mapping[str, set[str]]) -> dict[str, str]:
    names: dict[str, str] = {}
    for noun in wanted.keys() & _NAMES.keys():
        names |= await _read(deps, noun, _NAMES[noun], wanted[noun])
    if "objective" in wanted:  # whether it is met is told of a database
        names = await _read(deps, "objective", _NAMES["database"], wanted["objective"]) | names
    return names


async def _read(
    deps: Dependencies,
    noun: str,
    columns: tuple[ColumnElement[Any], ColumnElement[Any]],
    keys: set[str],
) -> dict[str, str]:
    rows = await deps.read_model.rows(named_by_key(columns, keys))
    return {f"{noun}/{row.key}": str(row.name) for row in rows}


def named_by_key(
    columns: tuple[ColumnElement[Any], ColumnElement[Any]], keys: set[str]
) -> Select[Any]:
    """The keys and names of the things that have one of these keys."""
    key, name = columns
    return select(_text(key).label("key"), name.label("name")).where(_among(key, keys))


def linked_by_key(noun: str, keys: set[str]) -> Executable:
    """After what the things of a noun are called that have one of these keys."""
    key, of, before, behind = _OF[noun]
    query = select(
        _text(key).label("key"),
        of.label("of"),
        _words(before).label("before"),
        _words(behind).label("behind"),
    )
    return query.where(_among(key, keys))


def _among(key: ColumnElement[Any], keys: set[str]) -> ColumnElement[bool]:
    """A key that is cast is found by no index: that reads all of what may be a million backups."""
    native = isinstance(key.type, Uuid)
    return among(key, [UUID(one) if native else one for one in sorted(keys)])


class _Link(msgspec.Struct, frozen=True):
    of: str
    before: str
    behind: str


async def _after_others(deps: Dependencies, wanted: Mapping[str, set[str]]) -> dict[str, str]:
    links: dict[str, _Link] = {}
    for noun in wanted.keys() & _OF.keys():
        rows = await deps.read_model.rows(linked_by_key(noun, wanted[noun]))
        links |= {f"{noun}/{row.key}": _Link(row.of, row.before, row.behind) for row in rows}
    if not links:
        return {}
    names = await names_of(deps, {link.of for link in links.values()})
    return {
        thing: f"{link.before}{names[link.of]}{link.behind}"
        for thing, link in links.items()
        if link.of in names
    }


def _words(said: Any) -> ColumnElement[str]:
    return literal(said) if isinstance(said, str) else said


async def _last(deps: Dependencies, gone: set[str]) -> dict[str, str]:
    """What is configured no more, by the name of the version before its removal."""
    newest = func.row_number().over(
        partition_by=audit_logs.c.object, order_by=audit_logs.c.n.desc()
    )
    versions = (
        select(audit_logs.c.object, audit_logs.c.seq, newest.label("age"))
        .where(audit_logs.c.object.in_(sorted(gone)), audit_logs.c.action.endswith(".set"))
        .subquery()
    )
    query: Select[Any] = (
        select(versions.c.object, event_log.c.data)
        .join(event_log, event_log.c.seq == versions.c.seq)
        .where(versions.c.age <= 2)
        .order_by(versions.c.age.desc())
    )
    said = (
        (row.object, said_by(row.data).get("name")) for row in await deps.read_model.rows(query)
    )
    return {thing: name for thing, name in said if isinstance(name, str)}


def _is_id(key: str) -> bool:
    try:
        return str(UUID(key)) == key
    except ValueError:
        return False
