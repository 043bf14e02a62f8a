"""Backups, their attempts, and the databases they are of."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec

from services.auditor.projection import runs
from services.auditor.projection.change import (
    Change,
    Fold,
    Projections,
    Row,
    create,
    new_row,
    remove,
    update,
)
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupCompleted,
    BackupCorrupted,
    BackupDeleted,
    BackupDeleteRequested,
    BackupDeletionBegun,
    BackupExpired,
    BackupFailed,
    BackupGarbageDeleted,
    BackupHeld,
    BackupImported,
    BackupMoved,
    BackupReleased,
    BackupRequested,
    BackupRewrapped,
    BackupUndeleted,
    BackupVerified,
    BackupVerifyFailed,
    BackupVerifyRequested,
)
from shared.messages.facts.archives import archive_id
from shared.messages.values import DatabaseRef
from shared.readmodel.tables import (
    archives,
    backup_attempts,
    backup_metadata,
    backups,
    databases,
)

NOWHERE = UUID(int=0)
"""The server of what came from another installation."""
_OPEN = frozenset({"requested", "running"})
_DELETABLE = frozenset({"completed", "failed", "cancelled", "expired"})


def requested(event: BackupRequested, seq: int) -> Iterator[Change]:
    yield database_seen(event.database)
    yield runs.requested(event, seq, "backup", event.backup_id, event.database.server_id)
    row = new_row(
        backups,
        id=event.backup_id,
        run_id=event.run_id,
        database_id=event.database.id,
        server_id=event.database.server_id,
        endpoint=event.database.endpoint,
        database_name=event.database.name,
        store_id=event.store_id,
        type=event.type_wanted,
        method=event.method,
        codec=event.codec,
        status="requested",
        proof="unverified",
        attempt=0,
        actor=event.actor,
        note=event.note,
        requested_at=event.at,
        holds=[],
        schedule_id=event.schedule_id,
        slot=event.slot,
        further_store_ids=event.further_store_ids,
        full_because="",
        version=seq,
    )
    yield Change(backups, (event.backup_id,), create(row))


def attempted(event: BackupAttempted, seq: int) -> Iterator[Change]:
    row = new_row(
        backup_attempts,
        backup_id=event.backup_id,
        attempt=event.attempt,
        seq=seq,
        at=event.at,
        worker=event.worker,
        pool=event.pool,
        store_id=event.store_id,
        prefix=event.prefix,
    )
    yield Change(backup_attempts, (event.backup_id, event.attempt), create(row))
    yield runs.attempted(event, seq)

    def begin(backup: Row | None) -> Row | None:
        if backup is None or backup["status"] not in _OPEN or event.attempt < backup["attempt"]:
            return backup
        return backup | {
            "status": "running",
            "attempt": event.attempt,
            "prefix": event.prefix,
            "started_at": backup["started_at"] or event.at,
            "version": seq,
        }

    yield _on(event.backup_id, begin)


def completed(event: BackupCompleted, seq: int) -> Iterator[Change]:
    facts = msgspec.to_builtins(event.archive)
    row = new_row(backup_metadata, backup_id=event.backup_id, archive=facts)
    yield Change(backup_metadata, (event.backup_id,), create(row))
    result = {"raw_bytes": event.archive.raw_bytes, "stored_bytes": event.archive.stored_bytes}
    yield runs.completed(event.run_id, event, seq, result | {"seconds": event.seconds})
    values = {
        "status": "completed",
        "attempt": event.attempt,
        "prefix": event.prefix,
        "raw_bytes": event.archive.raw_bytes,
        "stored_bytes": event.archive.stored_bytes,
        "type": event.type_made,
        "chain_id": event.chain_id or event.backup_id,
        "parent_id": event.parent_id,
        "fresh_bytes": event.fresh_bytes,
        "full_because": event.full_because,
        "completed_at": event.at,
        "taken_at": event.archive.taken_at,
        "key_id": _platform_key(event.archive.recipients),
        "version": seq,
    }
    yield _on(event.backup_id, _when(_OPEN, values))


def imported(event: BackupImported, seq: int) -> Iterator[Change]:
    """As if it had been made here, but that no run did so and its server is not known."""
    facts = msgspec.to_builtins(event.archive)
    known = new_row(backup_metadata, backup_id=event.backup_id, archive=facts)
    yield Change(backup_metadata, (event.backup_id,), create(known))
    attempt = new_row(
        backup_attempts,
        backup_id=event.backup_id,
        attempt=event.attempt,
        seq=seq,
        at=event.at,
        worker="",
        pool=event.pool,
        store_id=event.store_id,
        prefix=event.prefix,
    )
    yield Change(backup_attempts, (event.backup_id, event.attempt), create(attempt))
    row = new_row(
        backups,
        id=event.backup_id,
        run_id=event.id,
        database_id=event.database_id,
        server_id=NOWHERE,
        endpoint="",
        database_name=event.database_name,
        store_id=event.store_id,
        chain_id=event.chain_id or event.backup_id,
        parent_id=event.parent_id,
        full_because="",
        type=event.type_found,
        method=event.method,
        codec=event.archive.codec,
        status="completed",
        proof="unverified",
        attempt=event.attempt,
        prefix=event.prefix,
        raw_bytes=event.archive.raw_bytes,
        stored_bytes=event.archive.stored_bytes,
        actor=event.actor,
        note="",
        requested_at=event.archive.taken_at,
        completed_at=event.at,
        taken_at=event.archive.taken_at,
        holds=[],
        further_store_ids=[],
        key_id=_platform_key(event.archive.recipients),
        signed_by=event.signed_by,
        version=seq,
    )
    yield Change(backups, (event.backup_id,), create(row))


def failed(event: BackupFailed, seq: int) -> Iterator[Change]:
    yield runs.failed(event.run_id, event, seq)
    values = {"status": "failed", "problem": event.problem, "version": seq}
    yield _on(event.backup_id, _when(_OPEN, values | {"completed_at": event.at}))


def cancelled(event: BackupCancelled, seq: int) -> Iterator[Change]:
    yield runs.cancelled(event.run_id, event, seq)
    values = {"status": "cancelled", "completed_at": event.at, "version": seq}
    yield _on(event.backup_id, _when(_OPEN, values))


def verify_requested(event: BackupVerifyRequested, seq: int) -> Iterator[Change]:
    yield runs.requested(event, seq, "verify", event.backup_id, event.server_id)


def verify_failed(event: BackupVerifyFailed, seq: int) -> Iterator[Change]:
    yield runs.failed(event.run_id, event, seq)


def verified(event: BackupVerified, seq: int) -> Iterator[Change]:
    if event.run_id is not None:
        result = {"bytes_read": event.bytes_read, "seconds": event.seconds}
        yield runs.completed(event.run_id, event, seq, result)
    values = {"proof": "verified", "problem": None, "verified_at": event.at, "version": seq}
    if event.locked_until is not None:
        values["locked_until"] = event.locked_until
    yield _on(event.backup_id, _when({"completed", "expired"}, values))


def corrupted(event: BackupCorrupted, seq: int) -> Iterator[Change]:
    if event.run_id is not None:
        yield runs.failed(event.run_id, event, seq)
    values = {"proof": "corrupt", "problem": event.problem, "version": seq}
    yield _on(event.backup_id, _when({"completed", "expired"}, values))


def rewrapped(event: BackupRewrapped, seq: int) -> Iterator[Change]:
    def sealed_anew(old: Row | None) -> Row | None:
        if old is None or old["store_id"] != event.store_id:  # moved meanwhile
            return old
        return old | {
            "key_id": _platform_key(event.recipients),
            "envelope": event.envelope,
            "envelope_sha256": event.envelope_sha256 or None,
            "version": seq,
        }

    yield _on(event.backup_id, sealed_anew)


def _platform_key(recipients: list[str]) -> str | None:
    """The platform's own key comes first."""
    return recipients[0] if recipients else None


def held(event: BackupHeld | BackupReleased, seq: int) -> Iterator[Change]:
    """What lies on it is told in full each time."""
    holds = msgspec.to_builtins(event.holds)
    yield _on(event.backup_id, update(holds=holds, version=seq))


def expired(event: BackupExpired, seq: int) -> Iterator[Change]:
    values = {"status": "expired", "delete_after": event.delete_after, "version": seq}
    yield _on(event.backup_id, _when({"completed"}, values))


def delete_requested(event: BackupDeleteRequested, seq: int) -> Iterator[Change]:
    def wish(old: Row | None) -> Row | None:
        if old is None:
            return None
        status = "deleting" if old["status"] in _DELETABLE else old["status"]
        return old | {
            "status": status,
            "delete_requested_at": event.at,
            "delete_after": event.delete_after,
            "version": seq,
        }

    yield _on(event.backup_id, wish)


def undeleted(event: BackupUndeleted, seq: int) -> Iterator[Change]:
    def keep(old: Row | None) -> Row | None:
        if old is None or old["status"] not in {"expired", "deleting"}:
            return old
        return old | {
            "status": _ended(old),
            "delete_requested_at": None,
            "delete_after": None,
            "deletion_begun_at": None,
            "version": seq,
        }

    yield _on(event.backup_id, keep)


def deletion_begun(event: BackupDeletionBegun, seq: int) -> Iterator[Change]:
    yield _on(event.backup_id, update(deletion_begun_at=event.at, version=seq))


def _ended(backup: Row) -> str:
    """How its run ended, before anybody wanted it deleted."""
    if backup["stored_bytes"] is not None:
        return "completed"
    return "failed" if backup["problem"] is not None else "cancelled"


def deleted(event: BackupDeleted, seq: int) -> Iterator[Change]:
    values = {"status": "deleted", "deleted_at": event.at, "version": seq}
    yield _on(event.backup_id, update(**values))


def garbage_deleted(event: BackupGarbageDeleted, _seq: int) -> Iterator[Change]:
    key = (event.backup_id, event.attempt)
    yield Change(backup_attempts, key, update(deleted_at=event.at))


def database_seen(database: DatabaseRef) -> Change:
    """Somebody named the database: it has a row from now on."""
    row = new_row(
        databases,
        id=database.id,
        server_id=database.server_id,
        endpoint=database.endpoint,
        name=database.name,
        tags=[],
        version=0,
    )
    return Change(databases, (database.id,), create(row))


def _on(backup_id: UUID, fold: Fold) -> Change:
    return Change(backups, (backup_id,), fold)


def _when(statuses: frozenset[str] | set[str], values: Row) -> Fold:
    """Set `values` on a backup that is in one of `statuses`; any other stays as it is."""
    return lambda old: old | values if old is not None and old["status"] in statuses else old


def moved(event: BackupMoved, seq: int) -> Iterator[Change]:
    """The copy there becomes the archive, and what stands here becomes a copy."""

    def fold(old: Row | None) -> Row | None:
        if old is None or old["status"] != "completed" or old["store_id"] != event.from_store_id:
            return old
        first = old["first_store_id"] or event.from_store_id
        there = {"store_id": event.to_store_id, "first_store_id": first, "prefix": event.prefix}
        there |= {"locked_until": event.locked_until, "key_id": None}
        there |= {
            "envelope": event.envelope or None,
            "envelope_sha256": event.envelope_sha256 or None,
        }
        return old | there | {"version": seq}

    left = new_row(
        archives,
        id=archive_id(event.backup_id, event.from_store_id),
        backup_id=event.backup_id,
        store_id=event.from_store_id,
        status="stored",
        proof="unverified",
        prefix=event.prefix,
        stored_bytes=event.stored_bytes,
        requested_at=event.at,
        stored_at=event.at,
        locked_until=event.left_locked_until,
        version=seq,
    )
    yield _on(event.backup_id, fold)
    yield Change(archives, (archive_id(event.backup_id, event.to_store_id),), remove)
    yield Change(archives, (left["id"],), lambda _: left)


PROJECTIONS: Projections = {
    BackupRequested: requested,
    BackupAttempted: attempted,
    BackupCompleted: completed,
    BackupImported: imported,
    BackupFailed: failed,
    BackupCancelled: cancelled,
    BackupVerifyRequested: verify_requested,
    BackupVerifyFailed: verify_failed,
    BackupVerified: verified,
    BackupRewrapped: rewrapped,
    BackupCorrupted: corrupted,
    BackupHeld: held,
    BackupReleased: held,
    BackupExpired: expired,
    BackupDeleteRequested: delete_requested,
    BackupUndeleted: undeleted,
    BackupDeletionBegun: deletion_begun,
    BackupDeleted: deleted,
    BackupGarbageDeleted: garbage_deleted,
    BackupMoved: moved,
}
