"""What the things are called that audit entries are about: an id says nothing to a reader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, Uuid, select

from services.gateway.audit_entries import AuditEntry
from services.gateway.dependencies import Dependencies
from shared.readmodel import tables

_NAMED: dict[str, tuple[ColumnElement[Any], ColumnElement[Any]]] = {
    noun: (table.c.id, table.c[column])
    for noun, table, column in (
        ("api_key", tables.api_keys, "name"),
        ("backup", tables.backups, "database_name"),
        ("blackout", tables.blackouts, "name"),
        ("channel", tables.notification_channels, "name"),
        ("command", tables.commands, "name"),
        ("database", tables.databases, "name"),
        ("group", tables.server_groups, "name"),
        ("objective", tables.objectives, "name"),
        ("policy", tables.retention_policies, "name"),
        ("rule", tables.notification_rules, "name"),
        ("run", tables.runs, "kind"),
        ("schedule", tables.schedules, "name"),
        ("server", tables.servers, "name"),
        ("store", tables.stores, "name"),
        ("template", tables.notification_templates, "name"),
    )
}
"""By noun: the column of the id, and the one of the name. People's names are sealed, so they are
not here."""


async def with_names(deps: Dependencies, entries: list[AuditEntry]) -> list[AuditEntry]:
    """The entries with the present names of what they are about; what is gone has none."""
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        noun, _, thing = entry.object.partition("/")
        if noun in _NAMED and _is_id(thing):
            wanted[noun].add(thing)
    names: dict[str, str] = {}
    for noun, things in wanted.items():
        rows = await deps.read_model.rows(named_by_key(noun, sorted(things)))
        names |= {f"{noun}/{row.key}": str(row.name) for row in rows}
    return [
        msgspec.structs.replace(entry, object_name=names.get(entry.object, "")) for entry in entries
    ]


def named_by_key(noun: str, things: Iterable[str]) -> Select[Any]:
    """The things of a noun that have one of these ids, and their names."""
    key, name = _NAMED[noun]
    # A key that is cast is found by no index: that reads all of what may be a million backups.
    keys = [UUID(one) for one in things] if isinstance(key.type, Uuid) else [*things]
    return select(key.label("key"), name.label("name")).where(key.in_(keys))


def _is_id(thing: str) -> bool:
    try:
        return str(UUID(thing)) == thing
    except ValueError:
        return False
