"""Settings: each message is the whole new state, and its sequence the version of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Table

from services.auditor.projection.change import (
    Change,
    Projections,
    Row,
    new_row,
    remove,
    update,
)
from shared.messages.base import Setting
from shared.messages.settings import (
    ApiKeySetting,
    BlackoutSetting,
    ChannelSetting,
    ClaimSetting,
    CommandSetting,
    DatabaseSetting,
    GroupSetting,
    ObjectiveSetting,
    PlatformSetting,
    PolicySetting,
    RuleSetting,
    ScheduleSetting,
    ServerSetting,
    SettingRemoved,
    StoreSetting,
    TemplateSetting,
    UserSetting,
)
from shared.readmodel.tables import (
    api_keys,
    blackouts,
    claims,
    commands,
    databases,
    notification_channels,
    notification_rules,
    notification_templates,
    objectives,
    platform,
    retention_policies,
    schedules,
    server_groups,
    servers,
    stores,
    users,
)

TABLES: dict[str, Table] = {
    "platform": platform,
    "claim": claims,
    "user": users,
    "api_key": api_keys,
    "server": servers,
    "group": server_groups,
    "store": stores,
    "policy": retention_policies,
    "schedule": schedules,
    "blackout": blackouts,
    "objective": objectives,
    "channel": notification_channels,
    "rule": notification_rules,
    "template": notification_templates,
    "command": commands,
}
"""Noun of the subject -> where its settings stand. Databases are more than their setting."""

_ENVELOPE = frozenset({"type", "id", "at", "actor", "caused_by", "request_id", "key"})
_AT_FIRST: dict[str, Row] = {"server": {"health": "unknown"}, "user": {"rights_seq": 0}}


def _fields(event: Setting) -> Row:
    """What the setting says, without what every message carries."""
    return {name: getattr(event, name) for name in event.__struct_fields__ if name not in _ENVELOPE}


def _project(event: Setting, seq: int, values: Row) -> Iterator[Change]:
    noun = event.type.removeprefix("setting.")
    table = TABLES[noun]
    first = new_row(table, id=event.key, created_at=event.at) | _AT_FIRST.get(noun, {})

    def replace(old: Row | None) -> Row:
        return (old or first) | values | {"version": seq, "updated_at": event.at}

    yield Change(table, (event.key,), replace)


def _as_columns(event: Setting, seq: int) -> Iterator[Change]:
    return _project(event, seq, _fields(event))


def user(event: UserSetting, seq: int) -> Iterator[Change]:
    """An account also keeps what it held before its rights last changed, and when that was."""
    values, [change] = msgspec.to_builtins(_fields(event)), _as_columns(event, seq)

    def fold(old: Row | None) -> Row | None:
        row = change.fold(old)
        if row is not None and old is not None and _held(old) != _held(values):
            row |= {"rights_seq": seq, "rights_before": _held(old)}
        return row

    yield Change(users, change.key, fold)


def _held(row: Row) -> Row:
    return {"role": row["role"], "grants": row["grants"]}


def _as_json(event: PlatformSetting, seq: int) -> Iterator[Change]:
    return _project(event, seq, {"setting": msgspec.to_builtins(_fields(event))})


def channel(event: ChannelSetting, seq: int) -> Iterator[Change]:
    """A changed channel is used again, whatever its receiver said before."""
    again = {"disabled_at": None, "disabled_problem": None}
    return _project(event, seq, {**_fields(event), **again})


def database(event: DatabaseSetting, seq: int) -> Iterator[Change]:
    yield from _decided(event.key, policy_id=event.policy_id, tags=event.tags, version=seq)


def _decided(key: str, **values: Any) -> Iterator[Change]:
    try:
        yield Change(databases, (UUID(key),), update(**values))
    except ValueError:
        return  # nobody's database: ids of databases are UUIDs


def removed(event: SettingRemoved, seq: int) -> Iterator[Change]:
    if event.of == "database":
        yield from _decided(event.key, policy_id=None, tags=[], version=seq)
    elif event.of in TABLES:
        yield Change(TABLES[event.of], (event.key,), remove)


PROJECTIONS: Projections = {
    PlatformSetting: _as_json,
    UserSetting: user,
    ApiKeySetting: _as_columns,
    ServerSetting: _as_columns,
    GroupSetting: _as_columns,
    StoreSetting: _as_columns,
    PolicySetting: _as_columns,
    ScheduleSetting: _as_columns,
    BlackoutSetting: _as_columns,
    ChannelSetting: channel,
    ObjectiveSetting: _as_columns,
    RuleSetting: _as_columns,
    TemplateSetting: _as_columns,
    CommandSetting: _as_columns,
    ClaimSetting: _as_columns,
    DatabaseSetting: database,
    SettingRemoved: removed,
}
