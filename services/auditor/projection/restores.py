"""Restores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from services.auditor.projection import runs
from services.auditor.projection.change import (
    Change,
    Projections,
    Row,
    create,
    new_row,
    update,
)
from shared.messages.facts import (
    RestoreAttempted,
    RestoreCancelled,
    RestoreCompleted,
    RestoreFailed,
    RestoreRequested,
)
from shared.readmodel.tables import backups, restores

_OPEN = frozenset({"requested", "running"})


def requested(event: RestoreRequested, seq: int) -> Iterator[Change]:
    kind = "verification" if event.deep else "restore"
    yield runs.requested(event, seq, kind, event.restore_id, event.target.server_id)
    row = new_row(
        restores,
        id=event.restore_id,
        run_id=event.run_id,
        backup_id=event.backup_id,
        target_server_id=event.target.server_id,
        target_endpoint=event.target.endpoint,
        target_name=event.target.name,
        status="requested",
        actor=event.actor,
        reason=event.reason,
        test=event.test,
        deep=event.deep,
        schedule_id=event.schedule_id,
        slot=event.slot,
        requested_at=event.at,
        version=seq,
    )
    yield Change(restores, (event.restore_id,), create(row))


def attempted(event: RestoreAttempted, seq: int) -> Iterator[Change]:
    yield runs.attempted(event, seq)
    yield _while_open(event.restore_id, status="running", version=seq)


def completed(event: RestoreCompleted, seq: int) -> Iterator[Change]:
    result = {"raw_bytes": event.raw_bytes, "seconds": event.seconds, "tables": len(event.tables)}
    yield runs.completed(event.run_id, event, seq, result)
    yield _while_open(
        event.restore_id,
        status="completed",
        raw_bytes=event.raw_bytes,
        tables=msgspec.to_builtins(event.tables),
        seconds=event.seconds,
        checks=_checks(event),
        completed_at=event.at,
        version=seq,
    )
    passed = {"restore_tested_at": event.at, "restore_test_s": event.seconds}
    told = {"restore_test_problem": None, "restore_test_checks": _checks(event)}
    yield from _tested(event, seq, passed | told)
    if event.verified_backup_id is not None:
        read = {"deep_verified_at": event.at, "deep_verify_s": event.seconds}
        yield Change(backups, (event.verified_backup_id,), update(**read, version=seq))


def failed(event: RestoreFailed, seq: int) -> Iterator[Change]:
    yield runs.failed(event.run_id, event, seq)
    ended = {"problem": event.problem, "checks": _checks(event), "completed_at": event.at}
    yield _while_open(event.restore_id, status="failed", version=seq, **ended)
    told = {"restore_test_problem": event.problem, "restore_test_checks": _checks(event)}
    yield from _tested(event, seq, told)


def _checks(event: RestoreCompleted | RestoreFailed) -> Any:
    return msgspec.to_builtins(event.checks) if event.checks else None


def _tested(event: RestoreCompleted | RestoreFailed, seq: int, values: Row) -> Iterator[Change]:
    """What a test says of its backup."""
    if event.tested_backup_id is not None:
        yield Change(backups, (event.tested_backup_id,), update(**values, version=seq))


def cancelled(event: RestoreCancelled, seq: int) -> Iterator[Change]:
    yield runs.cancelled(event.run_id, event, seq)
    yield _while_open(event.restore_id, status="cancelled", completed_at=event.at, version=seq)


def _while_open(restore_id: UUID, **values: Any) -> Change:
    def fold(old: Row | None) -> Row | None:
        return old if old is None or old["status"] not in _OPEN else old | values

    return Change(restores, (restore_id,), fold)


PROJECTIONS: Projections = {
    RestoreRequested: requested,
    RestoreAttempted: attempted,
    RestoreCompleted: completed,
    RestoreFailed: failed,
    RestoreCancelled: cancelled,
}
