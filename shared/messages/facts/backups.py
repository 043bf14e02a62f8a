"""Facts about backups."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.messages.base import CORE, Fact, Key
from shared.messages.values import (
    ArchiveFacts,
    BackupType,
    DatabaseRef,
    Hold,
    HoldKind,
    Method,
    Problem,
)


class BackupFact(Fact, frozen=True, kw_only=True):
    """About one backup."""

    KEYED_BY: ClassVar[str] = "backup_id"
    backup_id: UUID


class BackupRequested(BackupFact, frozen=True, kw_only=True):
    """Somebody, or a schedule, wants a backup. The first fact of a backup: expects 0.

    `slot` is the time the schedule meant; `further_store_ids` are to hold a copy once completed.
    """

    run_id: UUID
    database: DatabaseRef
    store_id: str
    run_pool: Key
    type_wanted: BackupType = BackupType.FULL
    method: Method = Method.LOGICAL
    codec: str = "zstd"
    note: str = ""
    schedule_id: str | None = None
    slot: datetime | None = None
    further_store_ids: list[str] = []


class BackupAttempted(BackupFact, frozen=True, kw_only=True):
    """A worker is about to write under `prefix`: also the record of what may need deleting."""

    run_id: UUID
    attempt: int
    worker: str
    store_id: str
    prefix: str


class BackupCompleted(BackupFact, frozen=True, kw_only=True):
    """The manifest exists and its bytes were read back by the attempt that wrote them."""

    run_id: UUID
    attempt: int
    prefix: str
    started_at: datetime
    seconds: float
    archive: ArchiveFacts


class BackupFailed(BackupFact, frozen=True, kw_only=True):
    """The run ended without a backup; what its attempts wrote is garbage."""

    run_id: UUID
    attempt: int
    problem: Problem


class BackupCancelled(BackupFact, frozen=True, kw_only=True):
    """Somebody stopped the run; what its attempts wrote is garbage."""

    run_id: UUID
    attempt: int


class BackupVerifyRequested(BackupFact, frozen=True, kw_only=True):
    """Somebody wants the archive read again now; storage does it."""

    run_id: UUID
    server_id: UUID
    run_pool: Key = CORE


class BackupVerifyFailed(BackupFact, frozen=True, kw_only=True):
    """Whether the archive is whole could not be found out."""

    run_id: UUID
    problem: Problem


class BackupVerified(BackupFact, frozen=True, kw_only=True):
    """Every object was read from the store again and has the hash its manifest says."""

    bytes_read: int
    seconds: float
    run_id: UUID | None = None


class BackupCorrupted(BackupFact, frozen=True, kw_only=True):
    """An object is missing, cut or changed: the backup cannot be restored from this store."""

    problem: Problem
    run_id: UUID | None = None


class BackupHeld(BackupFact, frozen=True, kw_only=True):
    """Somebody laid a hold of one kind on the backup, or changed it; `holds` lie on it now."""

    kind: HoldKind
    reason: str
    until: datetime | None = None
    holds: list[Hold]


class BackupReleased(BackupFact, frozen=True, kw_only=True):
    """Somebody lifted the hold of one kind; `holds` still lie on the backup."""

    kind: HoldKind
    reason: str
    holds: list[Hold]


class BackupExpired(BackupFact, frozen=True, kw_only=True):
    """A policy keeps the backup no longer; until `delete_after` that can be taken back."""

    reason: str
    delete_after: datetime | None = None


class BackupDeleteRequested(BackupFact, frozen=True, kw_only=True):
    """Somebody wants the backup deleted; until `delete_after` that can be taken back."""

    reason: str = ""
    delete_after: datetime | None = None


class BackupUndeleted(BackupFact, frozen=True, kw_only=True):
    """Somebody took the deletion back before it had begun: the backup is kept as before."""

    reason: str = ""


class BackupDeletionBegun(BackupFact, frozen=True, kw_only=True):
    """From now on objects of the backup may be gone: the deletion cannot be taken back."""


class BackupDeleted(BackupFact, frozen=True, kw_only=True):
    """The backup's objects are gone from its store, manifest first."""

    freed_bytes: int


class BackupGarbageDeleted(BackupFact, frozen=True, kw_only=True):
    """What one attempt without a backup left behind is gone from the store."""

    attempt: int
    freed_bytes: int
