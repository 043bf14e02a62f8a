"""How full the stores and groups with a quota are, as the read model tells it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, FromClause, case, cast, func, literal, or_, select, true

from services.scheduler.quotas import Filling, Need
from shared.messages.settings import ServerSetting, StoreSetting
from shared.messages.values import BackupType
from shared.readmodel.awaited import awaited_copies
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import (
    COPIED,
    STANDING,
    archives,
    backups,
    runs,
    server_groups,
    servers,
)


class _Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a quota counts: archives in their own store, copies, awaited ones, and backups under
    way, each of those so many times."""

    own: ColumnElement[bool]
    copied: ColumnElement[bool]
    awaited: Any
    coming: ColumnElement[bool]
    times: ColumnElement[int]


async def need_of(
    model: ReadModel,
    server: ServerSetting,
    stores: Collection[StoreSetting],
    database_id: UUID,
    kind: BackupType,
) -> Need:
    """What the next backup of the database needs, and of which quotas; nothing without any."""
    limited = [store for store in stores if store.quota_bytes is not None]
    groups = await _groups(model, server.group_ids)
    if not limited and not groups:
        return Need()
    fillings = [
        await _filling(
            model, f"the store {store.name}", store.quota_bytes or 0, _of_store(store.key)
        )
        for store in limited
    ]
    for row in groups:
        filling = await _filling(model, f"the group {row.name}", row.quota_bytes, _of_group(row.id))
        fillings.append(msgspec.structs.replace(filling, copies=len(stores)))
    wanted = await _last_size(model, database_id, kind)
    return Need(wanted_bytes=wanted, fillings=fillings)


def _of_store(store_id: str) -> _Scope:
    awaited = awaited_copies()
    further = backups.c.further_store_ids.contains([store_id])
    return _Scope(
        own=backups.c.store_id == store_id,
        copied=archives.c.store_id == store_id,
        awaited=select(awaited.c.stored_bytes).where(awaited.c.store_id == store_id),
        coming=or_(backups.c.store_id == store_id, further),
        times=literal(1),
    )


def _of_group(group_id: str) -> _Scope:
    inside = in_group(group_id)
    return _Scope(
        own=inside,
        copied=inside,
        awaited=select(awaited_copies(inside).c.stored_bytes),
        coming=inside,
        times=1 + func.jsonb_array_length(backups.c.further_store_ids),
    )


def in_group(group_id: str) -> ColumnElement[bool]:
    """The condition for backups of the servers of a group."""
    # Cast are the ids of the few servers: those of all backups would be found by no index.
    column = backups.c.server_id
    of_group = servers.c.group_ids.contains([group_id])
    return column.in_(select(cast(servers.c.id, column.type)).where(of_group))


async def _groups(model: ReadModel, group_ids: Collection[str]) -> Any:
    if not group_ids:
        return []
    query = select(server_groups.c.id, server_groups.c.name, server_groups.c.quota_bytes)
    known = server_groups.c.id.in_(group_ids) & server_groups.c.quota_bytes.is_not(None)
    return await model.rows(query.where(known).order_by(server_groups.c.id))


async def _filling(model: ReadModel, name: str, quota_bytes: int, scope: _Scope) -> Filling:
    stored = select(func.coalesce(func.sum(backups.c.stored_bytes), 0)).where(
        scope.own, backups.c.status.in_(STANDING)
    )
    copies = (
        select(func.coalesce(func.sum(archives.c.stored_bytes), 0))
        .join(backups, backups.c.id == archives.c.backup_id)
        .where(scope.copied, archives.c.status.in_(COPIED))
    )
    awaited = scope.awaited.subquery()
    coming = select(func.coalesce(func.sum(awaited.c.stored_bytes), 0)).select_from(awaited)
    total = select(stored.scalar_subquery() + copies.scalar_subquery() + coming.scalar_subquery())
    row = await model.one(total)
    return Filling(
        name=name,
        quota_bytes=quota_bytes,
        stored_bytes=int(row[0]) if row else 0,
        promised=await _promised(model, scope),
    )


async def _promised(model: ReadModel, scope: _Scope) -> dict[UUID, int]:
    before = backups.alias("before")
    last = (
        select(before.c.stored_bytes.label("size"))
        .where(before.c.database_id == backups.c.database_id, before.c.stored_bytes.is_not(None))
        .order_by(*_most_like(before, backups.c.type))
        .limit(1)
        .correlate(backups)
        .lateral("last")
    )
    size = func.coalesce(last.c.size, 0) * scope.times
    query = (
        select(runs.c.id, size.label("size"))
        .join(backups, backups.c.id == runs.c.object_id)
        .outerjoin(last, true())
        .where(runs.c.kind == "backup", runs.c.status.in_(("dispatched", "running")), scope.coming)
    )
    return {row.id: int(row.size) for row in await model.rows(query)}


async def _last_size(model: ReadModel, database_id: UUID, kind: BackupType) -> int:
    query = (
        select(backups.c.stored_bytes)
        .where(backups.c.database_id == database_id, backups.c.stored_bytes.is_not(None))
        .order_by(*_most_like(backups, kind.value))
        .limit(1)
    )
    row = await model.one(query)
    return int(row.stored_bytes) if row else 0


def _most_like(table: FromClause, kind: Any) -> list[ColumnElement[Any]]:
    """The newest of the type first, then the newest full: an increment is seldom larger."""
    likeness = case((table.c.type == kind, 0), (table.c.type == BackupType.FULL.value, 1), else_=2)
    return [likeness, table.c.requested_at.desc()]
