"""What may become of a backup that others build on, or that builds on another."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, func, select

from services.gateway.dependencies import Dependencies
from services.gateway.errors import NeededError, ParentGoneError, StillRunningError
from shared.messages.values import BackupType
from shared.readmodel.standing import stands
from shared.readmodel.tables import backups


async def refuse_needed(deps: Dependencies, backup: Row[Any]) -> None:
    """Raise NeededError while a backup that stands in any store builds on this one, or
    StillRunningError while one is made that may."""
    standing = select(func.count()).where(backups.c.parent_id == backup.id, stands())
    row = await deps.read_model.one(standing)
    if row is not None and row[0]:
        builds = "backup builds" if row[0] == 1 else "backups build"
        raise NeededError(f"{row[0]} {builds} on it")
    made = select(backups.c.id).where(
        backups.c.database_id == backup.database_id,
        backups.c.store_id == backup.store_id,
        backups.c.type != BackupType.FULL,
        backups.c.status.in_(("requested", "running")),
    )
    if backup.status == "completed" and await deps.read_model.one(made.limit(1)) is not None:
        raise StillRunningError("a backup is being made that may build on it")


async def refuse_without_parent(deps: Dependencies, backup: Row[Any]) -> None:
    """Raise ParentGoneError unless what the backup builds on stands."""
    if backup.parent_id is None:
        return
    parent = select(backups.c.id).where(backups.c.id == backup.parent_id, stands())
    if await deps.read_model.one(parent) is None:
        raise ParentGoneError("the backup that it builds on is not kept")
