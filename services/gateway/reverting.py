"""An earlier version of a setting, checked as if it were entered now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, Text, cast, select

from services.gateway.configured import Change
from services.gateway.dependencies import Dependencies
from services.gateway.errors import ErasedSecretError, InputFault, InvalidFieldsError
from services.gateway.rights import Right
from shared.errors import NotFoundError
from shared.keys.plugins import keys_of
from shared.keys.sealed import is_sealed
from shared.messages.base import now
from shared.messages.settings import (
    AnySetting,
    ObjectiveSetting,
    RuleSetting,
    ScheduleSetting,
    ServerSetting,
    SettingRemoved,
    StoreSetting,
)
from shared.messages.wire import PoisonError, decode
from shared.readmodel.tables import (
    blackouts,
    commands,
    databases,
    event_log,
    notification_channels,
    notification_rules,
    notification_templates,
    objectives,
    retention_policies,
    schedules,
    server_groups,
    servers,
    stores,
)


class Reversible(msgspec.Struct, frozen=True):
    """A noun whose settings can be set back: its table, its path, the right to write it."""

    table: Table
    path: str
    write: Right


REVERSIBLE: dict[str, Reversible] = {
    "server": Reversible(servers, "/servers", Right.SERVERS_WRITE),
    "group": Reversible(server_groups, "/server-groups", Right.GROUPS_WRITE),
    "store": Reversible(stores, "/stores", Right.STORES_WRITE),
    "policy": Reversible(retention_policies, "/policies", Right.POLICIES_WRITE),
    "schedule": Reversible(schedules, "/schedules", Right.SCHEDULES_WRITE),
    "blackout": Reversible(blackouts, "/blackouts", Right.BLACKOUTS_WRITE),
    "objective": Reversible(objectives, "/objectives", Right.OBJECTIVES_WRITE),
    "command": Reversible(commands, "/commands", Right.COMMANDS_WRITE),
    "channel": Reversible(
        notification_channels, "/notifications/channels", Right.NOTIFICATIONS_WRITE
    ),
    "rule": Reversible(notification_rules, "/notifications/rules", Right.NOTIFICATIONS_WRITE),
    "template": Reversible(
        notification_templates, "/notifications/templates", Right.NOTIFICATIONS_WRITE
    ),
}
"""Accounts are not among them: an earlier password or role must not come back unseen."""


async def earlier(deps: Dependencies, noun: str, change: Change, version: int) -> AnySetting:
    """The setting as it was at `version`, as a new message of this change.

    Raises NotFoundError where that is no version of it, ErasedSecretError where a secret in it is
    gone, and InvalidFieldsError where it points at what no longer exists.
    """
    row = await deps.read_model.one(select(event_log.c.data).where(event_log.c.seq == version))
    setting = _setting_in(row.data) if row is not None else None
    if setting is None or (setting.noun, setting.key) != (noun, change.key):
        raise NotFoundError(
            f"the {noun} never had this version", fix=f"see /settings/{noun}/{change.key}/versions"
        )
    if isinstance(setting, SettingRemoved):
        raise NotFoundError(f"at this version the {noun} was deleted", fix="choose another version")
    await _refuse_erased(deps, setting)
    await _refuse_dangling(deps, setting)
    again: AnySetting = msgspec.structs.replace(
        setting, **change.said_by(), at=now(), caused_by=None
    )
    return again


def _setting_in(data: bytes) -> Any:
    try:
        message = decode(data)
    except PoisonError:
        return None
    return message if isinstance(message, AnySetting) else None


async def _refuse_erased(deps: Dependencies, setting: AnySetting) -> None:
    said = msgspec.to_builtins(setting)
    keys = deps.bus.kv("keys")
    gone = {key for key in keys_of(said) if await keys.get(key) is None}
    if gone:
        faults = [InputFault(at, "this secret was erased") for at in _places(said, gone)]
        raise ErasedSecretError("a secret of that version was erased when it was replaced", faults)


def _places(value: Any, keys: set[str], at: str = "") -> Iterator[str]:
    """The pointers to the sealed values under one of the keys."""
    if is_sealed(value):
        if value["key"] in keys:
            yield at
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _places(part, keys, f"{at}/{name}")
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _places(part, keys, f"{at}/{place}")


async def _refuse_dangling(deps: Dependencies, setting: AnySetting) -> None:
    faults = [
        InputFault(pointer, f"no such {table.name.replace('_', ' ')[:-1]} any more")
        for pointer, table, key in _references(setting)
        if await deps.read_model.one(select(table.c.id).where(_is(table, key))) is None
    ]
    if faults:
        raise InvalidFieldsError("that version points at what no longer exists", faults)


def _is(table: Table, key: str) -> ColumnElement[bool]:
    """Ids of databases are UUIDs in their table, and text in every setting."""
    return cast(table.c.id, Text) == str(key)


def _references(setting: AnySetting) -> Iterator[tuple[str, Table, str]]:
    """What a setting points at."""
    match setting:
        case RuleSetting():
            yield "/channel_id", notification_channels, setting.channel_id
            yield from _each("/group_ids", server_groups, setting.group_ids)
            if setting.template_id is not None:
                yield "/template_id", notification_templates, setting.template_id
        case ObjectiveSetting():
            yield from _each("/group_ids", server_groups, setting.group_ids)
            yield from _each("/database_ids", databases, setting.database_ids)
        case StoreSetting():
            if setting.move_to_store_id is not None:
                yield "/move_to_store_id", stores, setting.move_to_store_id
        case ServerSetting():
            yield from _each("/group_ids", server_groups, setting.group_ids)
        case ScheduleSetting():
            yield from _each("/group_ids", server_groups, setting.group_ids)
            yield from _each("/database_ids", databases, setting.database_ids)
            yield from _each("/blackout_ids", blackouts, setting.blackout_ids)
            for place, target in enumerate(setting.targets):
                yield f"/targets/{place}/store_id", stores, target.store_id
                if target.policy_id is not None:
                    yield f"/targets/{place}/policy_id", retention_policies, target.policy_id


def _each(pointer: str, table: Table, keys: list[str]) -> Iterator[tuple[str, Table, str]]:
    for place, key in enumerate(keys):
        yield f"{pointer}/{place}", table, key
