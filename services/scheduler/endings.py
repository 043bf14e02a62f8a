"""The facts by which the scheduler ends a run that no worker ends."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import UUID

from services.scheduler.orders import ACTOR
from services.scheduler.state import Run
from shared.bus import Expect
from shared.errors import PlatformError
from shared.messages.base import consequence
from shared.messages.facts import (
    BackupCancelled,
    BackupFailed,
    ExecutionFailed,
    RestoreCancelled,
    RestoreFailed,
    ServerDiscovered,
    ServerTested,
)
from shared.messages.values import Problem

Ending: TypeAlias = (
    BackupFailed
    | BackupCancelled
    | RestoreFailed
    | RestoreCancelled
    | ExecutionFailed
    | ServerTested
    | ServerDiscovered
)

_NOUNS = {
    "backup": "backup",
    "restore": "restore",
    "verification": "restore",
    "command": "execution",
}
CANCELLED = Problem(code="run.cancelled", cause="somebody stopped the run before it began")


def problem_of(error: PlatformError) -> Problem:
    """What an error says, as a fact may hold it."""
    return Problem(code=error.code, cause=error.cause, fix=error.fix)


def failure(run: Run, problem: Problem, *, cause: UUID | None, attempt: int = 0) -> Ending:
    """The run failed; `attempt` 0 means that no worker began it."""
    head: dict[str, Any] = {
        "id": consequence(run.run_id, f"failed by the scheduler at {attempt}"),
        "actor": ACTOR,
        "caused_by": cause,
        "run_id": run.run_id,
        "problem": problem,
    }
    match run.kind:
        case "backup":
            return BackupFailed(**head, backup_id=run.object_id, attempt=attempt)
        case "restore" | "verification":
            return RestoreFailed(**head, restore_id=run.object_id, attempt=attempt)
        case "command":
            return ExecutionFailed(**head, execution_id=run.object_id, attempt=attempt)
        case "test":
            return ServerTested(**head, server_id=run.server_id)
        case _:
            return ServerDiscovered(**head, server_id=run.server_id)


def cancellation(run: Run, *, cause: UUID | None) -> Ending:
    """The run was stopped before a worker began it."""
    head: dict[str, Any] = {
        "id": consequence(run.run_id, "cancelled by the scheduler"),
        "actor": ACTOR,
        "caused_by": cause,
        "run_id": run.run_id,
        "attempt": 0,
    }
    match run.kind:
        case "backup":
            return BackupCancelled(**head, backup_id=run.object_id)
        case "restore" | "verification":
            return RestoreCancelled(**head, restore_id=run.object_id)
        case _:
            return failure(run, CANCELLED, cause=cause)


def subjects_of(run: Run) -> str | None:
    """Everything ever said of the backup, restore or execution; a test has no such subjects."""
    noun = _NOUNS.get(run.kind)
    return f"evt.{noun}.*.*.{run.object_id}" if noun else None


def untouched(run: Run) -> Expect | None:
    """True while nothing but the request was ever said of the backup or restore."""
    subject = subjects_of(run)
    return Expect(run.requested_seq, subject) if subject else None
