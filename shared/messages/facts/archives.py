"""Facts about further archives: copies of a completed backup in other stores."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid5

from shared.messages.base import Fact
from shared.messages.values import Problem


def archive_id(backup_id: UUID, store_id: str) -> UUID:
    """The id of the archive of a backup in one further store."""
    return uuid5(backup_id, store_id)


class ArchiveFact(Fact, frozen=True, kw_only=True):
    """About one backup in one further store; the first store's is told by the backup's facts."""

    KEYED_BY: ClassVar[str] = "archive_id"
    archive_id: UUID
    backup_id: UUID
    store_id: str


class ArchiveRequested(ArchiveFact, frozen=True, kw_only=True):
    """The backup is to stand in this store, too. The record of what may need deleting there."""


class ArchiveReplicated(ArchiveFact, frozen=True, kw_only=True):
    """Every object stands in the store under `prefix`, was read back there, manifest last.

    Until `locked_until` the store itself lets nobody delete it. `recipients` are the ids of the
    keys that the envelope it came with is sealed to.
    """

    prefix: str
    stored_bytes: int
    seconds: float
    locked_until: datetime | None = None
    recipients: list[str] = []
    envelope: int = 0
    envelope_sha256: str = ""


class ArchiveRewrapped(ArchiveFact, frozen=True, kw_only=True):
    """As `BackupRewrapped`, of the copy in this store."""

    prefix: str
    envelope: int
    recipients: list[str]
    envelope_sha256: str = ""


class ArchiveFailed(ArchiveFact, frozen=True, kw_only=True):
    """The copy could not be made; nothing of it is left."""

    problem: Problem


class ArchiveVerified(ArchiveFact, frozen=True, kw_only=True):
    """Every object was read from this store again and has the hash its manifest says."""

    bytes_read: int
    seconds: float


class ArchiveCorrupted(ArchiveFact, frozen=True, kw_only=True):
    """An object is missing, cut or changed in this store."""

    problem: Problem


class ArchiveExpired(ArchiveFact, frozen=True, kw_only=True):
    """A policy keeps the backup no longer in this store; until `delete_after` that can be taken
    back. Without that time it is not the policy's doing (the backup moved, say), and goes."""

    reason: str
    delete_after: datetime | None = None


class ArchiveUndeleted(ArchiveFact, frozen=True, kw_only=True):
    """The copy is kept again, before its deletion had begun."""

    reason: str = ""


class ArchiveDeletionBegun(ArchiveFact, frozen=True, kw_only=True):
    """From now on objects of the copy may be gone."""


class ArchiveDeleted(ArchiveFact, frozen=True, kw_only=True):
    """The copy is gone from this store, manifest first."""

    freed_bytes: int
