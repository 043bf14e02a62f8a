"""How full the stores and groups with a quota are, as the read model tells it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, select, true

from services.scheduler.quotas import Filling, Need
from shared.messages.settings import ServerSetting, StoreSetting
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


async def need_of(
    model: ReadModel, server: ServerSetting, stores: Collection[StoreSetting], database_id: UUID
) -> Need:
    """What the next backup of the database needs, and of which quotas; nothing without any."""
    limited = [store for store in stores if store.quota_bytes is not None]
    groups = await _groups(model, server.group_ids)
    if not limited and not groups:
        return Need()
    fillings = [
        await _filling(
            model,
            f"the store {store.name}",
            store.quota_bytes or 0,
            own=backups.c.store_id == store.key,
            copied=archives.c.store_id == store.key,
        )
        for store in limited
    ]
    for row in groups:
        inside = _in_group(row.id)
        name = f"the group {row.name}"
        fillings.append(await _filling(model, name, row.quota_bytes, own=inside, copied=inside))
    return Need(wanted_bytes=await _last_size(model, database_id), fillings=fillings)


async def _groups(model: ReadModel, group_ids: Collection[str]) -> Any:
    if not group_ids:
        return []
    query = select(server_groups.c.id, server_groups.c.name, server_groups.c.quota_bytes)
    known = server_groups.c.id.in_(group_ids) & server_groups.c.quota_bytes.is_not(None)
    return await model.rows(query.where(known).order_by(server_groups.c.id))


async def _filling(
    model: ReadModel,
    name: str,
    quota_bytes: int,
    *,
    own: ColumnElement[bool],
    copied: ColumnElement[bool],
) -> Filling:
    stored = select(func.coalesce(func.sum(backups.c.stored_bytes), 0)).where(
        own, backups.c.status.in_(STANDING)
    )
    copies = (
        select(func.coalesce(func.sum(archives.c.stored_bytes), 0))
        .join(backups, backups.c.id == archives.c.backup_id)
        .where(copied, archives.c.status.in_(COPIED))
    )
    total = select(stored.scalar_subquery() + copies.scalar_subquery())
    row = await model.one(total)
    return Filling(
        name=name,
        quota_bytes=quota_bytes,
        stored_bytes=int(row[0]) if row else 0,
        promised=await _promised(model, own),
    )


async def _promised(model: ReadModel, own: ColumnElement[bool]) -> dict[UUID, int]:
    before = backups.alias("before")
    last = (
        select(before.c.stored_bytes.label("size"))
        .where(before.c.database_id == backups.c.database_id, before.c.stored_bytes.is_not(None))
        .order_by(before.c.requested_at.desc())
        .limit(1)
        .correlate(backups)
        .lateral("last")
    )
    query = (
        select(runs.c.id, func.coalesce(last.c.size, 0).label("size"))
        .join(backups, backups.c.id == runs.c.object_id)
        .outerjoin(last, true())
        .where(runs.c.kind == "backup", runs.c.status.in_(("dispatched", "running")), own)
    )
    return {row.id: int(row.size) for row in await model.rows(query)}


async def _last_size(model: ReadModel, database_id: UUID) -> int:
    query = (
        select(backups.c.stored_bytes)
        .where(backups.c.database_id == database_id, backups.c.stored_bytes.is_not(None))
        .order_by(backups.c.requested_at.desc())
        .limit(1)
    )
    row = await model.one(query)
    return int(row.stored_bytes) if row else 0


def _in_group(group_id: str) -> ColumnElement[bool]:
    inside = select(servers.c.id).where(servers.c.group_ids.contains([group_id]))
    return cast(backups.c.server_id, Text).in_(inside)
