"""Further archives: copies of completed backups in other stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.auditor.projection.change import Change, Projections, Row, new_row
from shared.messages.facts import (
    ArchiveCorrupted,
    ArchiveDeleted,
    ArchiveDeletionBegun,
    ArchiveExpired,
    ArchiveFailed,
    ArchiveReplicated,
    ArchiveRequested,
    ArchiveRewrapped,
    ArchiveUndeleted,
    ArchiveVerified,
)
from shared.messages.facts.archives import ArchiveFact
from shared.readmodel.tables import archives

_STANDING = frozenset({"stored", "expired"})


def requested(event: ArchiveRequested, seq: int) -> Iterator[Change]:
    row = new_row(
        archives,
        id=event.archive_id,
        backup_id=event.backup_id,
        store_id=event.store_id,
        status="requested",
        proof="unverified",
        requested_at=event.at,
        version=seq,
    )

    def again(old: Row | None) -> Row | None:
        return row if old is None or old["status"] in {"failed", "deleted"} else old

    yield Change(archives, (event.archive_id,), again)


def replicated(event: ArchiveReplicated, seq: int) -> Iterator[Change]:
    yield from _when(
        event,
        frozenset({"requested"}),
        status="stored",
        prefix=event.prefix,
        stored_bytes=event.stored_bytes,
        stored_at=event.at,
        locked_until=event.locked_until,
        key_id=event.recipients[0] if event.recipients else None,
        envelope=event.envelope or None,
        envelope_sha256=event.envelope_sha256 or None,
        problem=None,
        version=seq,
    )


def failed(event: ArchiveFailed, seq: int) -> Iterator[Change]:
    values = {"status": "failed", "problem": event.problem, "version": seq}
    yield from _when(event, frozenset({"requested"}), **values)


def verified(event: ArchiveVerified, seq: int) -> Iterator[Change]:
    values = {"proof": "verified", "problem": None, "verified_at": event.at, "version": seq}
    yield from _when(event, _STANDING, **values)


def corrupted(event: ArchiveCorrupted, seq: int) -> Iterator[Change]:
    yield from _when(event, _STANDING, proof="corrupt", problem=event.problem, version=seq)


def rewrapped(event: ArchiveRewrapped, seq: int) -> Iterator[Change]:
    key_id = event.recipients[0] if event.recipients else None
    values = {
        "key_id": key_id,
        "envelope": event.envelope,
        "envelope_sha256": event.envelope_sha256 or None,
        "version": seq,
    }
    yield from _when(event, _STANDING, **values)


def expired(event: ArchiveExpired, seq: int) -> Iterator[Change]:
    yield from _when(
        event,
        frozenset({"stored"}),
        status="expired",
        delete_after=event.delete_after,
        deletion_begun_at=None,
        version=seq,
    )


def undeleted(event: ArchiveUndeleted, seq: int) -> Iterator[Change]:
    values = {"status": "stored", "delete_after": None, "version": seq}
    yield from _when(event, frozenset({"expired"}), **values)


def deletion_begun(event: ArchiveDeletionBegun, seq: int) -> Iterator[Change]:
    yield from _when(event, _STANDING, deletion_begun_at=event.at, version=seq)


def deleted(event: ArchiveDeleted, seq: int) -> Iterator[Change]:
    everything = frozenset({"requested", "stored", "failed", "expired"})
    yield from _when(event, everything, status="deleted", deleted_at=event.at, version=seq)


def _when(event: ArchiveFact, statuses: frozenset[str], **values: Any) -> Iterator[Change]:
    """Set `values` on an archive that is in one of `statuses`; any other stays as it is."""

    def fold(old: Row | None) -> Row | None:
        return old | values if old is not None and old["status"] in statuses else old

    yield Change(archives, (event.archive_id,), fold)


PROJECTIONS: Projections = {
    ArchiveRequested: requested,
    ArchiveReplicated: replicated,
    ArchiveFailed: failed,
    ArchiveVerified: verified,
    ArchiveCorrupted: corrupted,
    ArchiveRewrapped: rewrapped,
    ArchiveExpired: expired,
    ArchiveUndeleted: undeleted,
    ArchiveDeletionBegun: deletion_begun,
    ArchiveDeleted: deleted,
}
