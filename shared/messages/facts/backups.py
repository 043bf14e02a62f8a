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

    A chain of `chain_limit` backups gets no further one: the next one is a full. `slot` is the
    time the schedule meant; `further_store_ids` are to hold a copy once completed.
    """

    run_id: UUID
    database: DatabaseRef
    store_id: str
    run_pool: Key
    type_wanted: BackupType = BackupType.FULL
    method: Method = Method.LOGICAL
    codec: str = "zstd"
    chain_limit: int = 30
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
    """The manifest exists and its bytes were read back by the attempt that wrote them.

    `type_made` may be a full where something else was wanted: `full_because` says why then.
    `parent_id` is the backup it builds on, `chain_id` the full that its chain begins with (its own
    id without one); `fresh_bytes` of the raw dump are its own.
    """

    run_id: UUID
    attempt: int
    prefix: str
    started_at: datetime
    seconds: float
    archive: ArchiveFacts
    type_made: BackupType = BackupType.FULL
    chain_id: UUID | None = None
    parent_id: UUID | None = None
    fresh_bytes: int | None = None
    full_because: str = ""


class BackupImported(BackupFact, frozen=True, kw_only=True):
    """A backup of another installation was found in a store, signed by a platform that somebody
    chose to trust (`signed_by`, its fingerprint): here it is restorable as any other.

    The database's server is not known here. Its name and the size of the dump stand in the archive
    where no key opens it. `chain_id` and `parent_id` as in `BackupCompleted`.
    """

    attempt: int
    store_id: str
    prefix: str
    signed_by: str
    database_id: UUID
    database_name: str
    engine: str
    type_found: BackupType = BackupType.FULL
    method: Method = Method.LOGICAL
    archive: ArchiveFacts
    chain_id: UUID | None = None
    parent_id: UUID | None = None


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
    """Every object was read from the store again and has the hash its manifest says.

    Until `locked_until` the store itself lets nobody delete it.
    """

    bytes_read: int
    seconds: float
    run_id: UUID | None = None
    locked_until: datetime | None = None


class BackupRewrapped(BackupFact, frozen=True, kw_only=True):
    """The archive's key is sealed anew: `envelope.<envelope>` was read back, holds the key that the
    data was encrypted with, and older envelopes are to go. No other object changed.

    `recipients` are the ids of the keys that open it now, the platform's first.
    """

    store_id: str
    prefix: str
    envelope: int
    recipients: list[str]
    envelope_sha256: str = ""


class BackupCorrupted(BackupFact, frozen=True, kw_only=True):
    """An object is missing, cut or changed: the backup cannot be restored from this store.

    `deep`: every stored byte is as it was written, and yet its keys do not open it to what was
    dumped. No reading by hashes takes that back.
    """

    problem: Problem
    run_id: UUID | None = None
    deep: bool = False


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
    """Before its deletion had begun, somebody took it back, or the policies keep the backup again:
    it is kept as before."""

    reason: str = ""


class BackupDeletionBegun(BackupFact, frozen=True, kw_only=True):
    """From now on objects of the backup may be gone: the deletion cannot be taken back."""


class BackupDeleted(BackupFact, frozen=True, kw_only=True):
    """The backup's objects are gone from its store, manifest first."""

    freed_bytes: int


class BackupMoved(BackupFact, frozen=True, kw_only=True):
    """Its copy in `to_store_id`, under `prefix`, is the backup's archive from now on.

    What stands in `from_store_id` is a copy, which expires at once. Both may be locked by their
    stores: until `locked_until` and `left_locked_until`. `envelope` is the copy's newest.
    """

    from_store_id: str
    to_store_id: str
    prefix: str
    stored_bytes: int
    locked_until: datetime | None = None
    left_locked_until: datetime | None = None
    envelope: int = 0
    envelope_sha256: str = ""


class BackupGarbageDeleted(BackupFact, frozen=True, kw_only=True):
    """What one attempt without a backup left behind is gone from the store."""

    attempt: int
    freed_bytes: int
