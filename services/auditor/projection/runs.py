"""Runs: one execution of a backup, a restore, a command, a test or a discovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias
from uuid import UUID

from services.auditor.projection.change import (
    Change,
    Fold,
    Projections,
    Row,
    create,
    new_row,
    update,
)
from shared.messages.base import Fact
from shared.messages.facts import (
    BackupAttempted,
    BackupCorrupted,
    BackupFailed,
    BackupRequested,
    BackupVerifyFailed,
    BackupVerifyRequested,
    ExecutionFailed,
    ExecutionRequested,
    RestoreAttempted,
    RestoreFailed,
    RestoreRequested,
    RunCancelRequested,
    RunDispatched,
    ServerDiscovered,
    ServerDiscoveryRequested,
    ServerTested,
    ServerTestRequested,
)
from shared.readmodel.tables import runs

_ENDED = frozenset({"completed", "failed", "cancelled"})


Request: TypeAlias = (
    BackupRequested
    | BackupVerifyRequested
    | RestoreRequested
    | ExecutionRequested
    | ServerTestRequested
    | ServerDiscoveryRequested
)
Failure: TypeAlias = (
    BackupFailed
    | BackupVerifyFailed
    | BackupCorrupted
    | RestoreFailed
    | ExecutionFailed
    | ServerTested
    | ServerDiscovered
)


def requested(event: Request, seq: int, kind: str, object_id: UUID, server_id: UUID) -> Change:
    """A run begins its life with the request for it."""
    row = new_row(
        runs,
        id=event.run_id,
        kind=kind,
        object_id=object_id,
        server_id=server_id,
        pool=event.run_pool,
        status="requested",
        attempts=0,
        requested_seq=seq,
        requested_at=event.at,
        actor=event.actor,
        version=seq,
    )
    return Change(runs, (event.run_id,), create(row))


def attempted(event: BackupAttempted | RestoreAttempted, seq: int) -> Change:
    """A worker took it; a later attempt supersedes an earlier one."""

    def begin(run: Row | None) -> Row | None:
        if run is None or run["status"] in _ENDED or event.attempt < run["attempts"]:
            return run
        return run | {
            "status": "running",
            "attempts": event.attempt,
            "worker": event.worker,
            "started_at": run["started_at"] or event.at,
            "version": seq,
        }

    return Change(runs, (event.run_id,), begin)


def completed(run_id: UUID, event: Fact, seq: int, result: dict[str, Any]) -> Change:
    return _end(run_id, event, seq, status="completed", result=result)


def failed(run_id: UUID, event: Failure, seq: int) -> Change:
    return _end(run_id, event, seq, status="failed", problem=event.problem)


def cancelled(run_id: UUID, event: Fact, seq: int) -> Change:
    return _end(run_id, event, seq, status="cancelled")


def _end(run_id: UUID, event: Fact, seq: int, **values: Any) -> Change:
    return Change(runs, (run_id,), _while_open(ended_at=event.at, version=seq, **values))


def _while_open(**values: Any) -> Fold:
    return lambda old: old if old is None or old["status"] in _ENDED else old | values


def _dispatched(event: RunDispatched, seq: int) -> Iterator[Change]:
    def send(run: Row | None) -> Row | None:
        if run is None or run["status"] in _ENDED:
            return run
        status = "dispatched" if run["status"] == "requested" else run["status"]
        sent = {"status": status, "pool": event.run_pool, "dispatched_at": event.at}
        return run | sent | {"version": seq}

    yield Change(runs, (event.run_id,), send)


def _cancel_requested(event: RunCancelRequested, seq: int) -> Iterator[Change]:
    yield Change(runs, (event.run_id,), update(cancel_requested_at=event.at, version=seq))


PROJECTIONS: Projections = {
    RunDispatched: _dispatched,
    RunCancelRequested: _cancel_requested,
}
