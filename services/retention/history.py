"""Where retention looks before it decides."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select

from shared.messages.facts import (
    ArchiveCorrupted,
    ArchiveReplicated,
    ArchiveVerified,
    BackupCompleted,
    BackupCorrupted,
    BackupDeleteRequested,
    BackupHeld,
    BackupReleased,
    BackupUndeleted,
    BackupVerified,
    RestoreCancelled,
    RestoreCompleted,
    RestoreFailed,
)
from shared.messages.settings import (
    DatabaseSetting,
    PolicySetting,
    ScheduleSetting,
    SettingRemoved,
)
from shared.messages.wire import AnyMessage
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import audit_checkpoints, audit_logs, backups, restores
from shared.retention.history import Histories, histories, sizes, under_policy


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """What an event is about: a backup, a restore of one, a schedule, a policy, or a database."""

    backup_id: UUID | None = None
    restore_id: UUID | None = None
    schedule_id: str | None = None
    policy_id: str | None = None
    database_id: UUID | None = None


class History(Protocol):
    """What retention decides on; every method raises UnavailableError while it cannot look."""

    async def position(self) -> int:
        """The last event that is part of the answers."""

    async def at_least(self, seq: int) -> None:
        """Wait until the event `seq` is part of the answers; raises NotProjectedError."""

    async def audited(self) -> int:
        """The last event that a signed checkpoint of the audit log covers."""

    async def sizes(self) -> list[tuple[UUID, int]]:
        """Every database with backups, and about how many."""

    async def databases(self, touched: Touched) -> list[UUID]:
        """The databases whose backups the event may let expire, or come back."""

    async def of(self, database_ids: Collection[UUID]) -> Histories:
        """What stands of them, and what left and can come back."""


class ReadModelHistory:
    """History from Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def position(self) -> int:
        return await self._read_model.position()

    async def at_least(self, seq: int) -> None:
        await self._read_model.at_least(seq)

    async def audited(self) -> int:
        signed = select(func.max(audit_checkpoints.c.size) - 1).scalar_subquery()
        row = await self._read_model.one(select(audit_logs.c.seq).where(audit_logs.c.n == signed))
        return int(row.seq) if row else 0

    async def sizes(self) -> list[tuple[UUID, int]]:
        return await sizes(self._read_model)

    async def databases(self, touched: Touched) -> list[UUID]:
        if touched.database_id is not None:
            return [touched.database_id]
        return [row[0] for row in await self._read_model.rows(_query(touched))]

    async def of(self, database_ids: Collection[UUID]) -> Histories:
        return await histories(self._read_model, database_ids, leaving=True)


def _query(touched: Touched) -> Select[Any]:
    if touched.policy_id is not None:
        return under_policy(touched.policy_id)
    found = select(backups.c.database_id).distinct()
    if touched.schedule_id is not None:
        return found.where(backups.c.schedule_id == touched.schedule_id)
    if touched.restore_id is not None:
        read = select(restores.c.backup_id).where(restores.c.id == touched.restore_id)
        return found.where(backups.c.id.in_(read))
    return found.where(backups.c.id == touched.backup_id)


def touched_by(message: AnyMessage) -> Touched | None:
    """What `message` is about, when it may let anything expire, or come back."""
    match message:
        case BackupCompleted() | BackupVerified() | BackupCorrupted() | BackupReleased():
            return Touched(backup_id=message.backup_id)
        case BackupHeld() | BackupDeleteRequested() | BackupUndeleted():
            return Touched(backup_id=message.backup_id)
        case ArchiveReplicated() | ArchiveVerified() | ArchiveCorrupted():
            return Touched(backup_id=message.backup_id)
        case RestoreCompleted() | RestoreFailed() | RestoreCancelled():
            return Touched(restore_id=message.restore_id)
        case _:
            return _touched_by_setting(message)


def _touched_by_setting(message: AnyMessage) -> Touched | None:
    match message:
        case PolicySetting():
            return Touched(policy_id=message.key)
        case ScheduleSetting():
            return Touched(schedule_id=message.key)
        case DatabaseSetting():
            return _touched_database(message.key)
        case SettingRemoved(of="policy"):  # without it nothing expires
            return Touched(policy_id=message.key)
        case SettingRemoved(of="schedule"):  # its backups fall under their databases' policies
            return Touched(schedule_id=message.key)
        case _:
            return None


def _touched_database(key: str) -> Touched | None:
    try:
        return Touched(database_id=UUID(key))
    except ValueError:
        return None  # nobody's database: ids of databases are UUIDs
