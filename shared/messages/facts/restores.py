"""Facts about restores."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact, Key
from shared.messages.values import (
    CheckResult,
    DatabaseRef,
    Problem,
    TableContent,
)


class RestoreFact(Fact, frozen=True, kw_only=True):
    """About one restore."""

    KEYED_BY: ClassVar[str] = "restore_id"
    restore_id: UUID


class RestoreRequested(RestoreFact, frozen=True, kw_only=True):
    """Somebody wants a backup restored into a new database. First fact: expects 0.

    `store_id` says from which of its stores; without it from its own, or from a good copy. A `test`
    goes into a throw-away instance on the worker's machine, that nobody sees; `schedule_id` and
    `slot` say which schedule wanted it. A `deep` one goes nowhere: the backup is read with its
    keys, and all of it is compared.
    """

    run_id: UUID
    backup_id: UUID
    target: DatabaseRef
    run_pool: Key
    reason: str = ""
    store_id: str | None = None
    test: bool = False
    deep: bool = False
    schedule_id: str | None = None
    slot: datetime | None = None


class RestoreAttempted(RestoreFact, frozen=True, kw_only=True):
    """A worker is about to write into the target."""

    run_id: UUID
    attempt: int
    worker: str


class RestoreCompleted(RestoreFact, frozen=True, kw_only=True):
    """The target holds what the backup recorded: every table was counted or hashed.

    `tested_backup_id` is set where that was a test of this backup; `checks` is what it answered.
    `seconds` is the time to restore, without them. `verified_backup_id` is set where this backup
    was only read, and found whole.
    """

    run_id: UUID
    attempt: int
    seconds: float
    raw_bytes: int
    tables: list[TableContent]
    tested_backup_id: UUID | None = None
    checks: list[CheckResult] = []
    verified_backup_id: UUID | None = None


class RestoreFailed(RestoreFact, frozen=True, kw_only=True):
    """The target was not restored, and what was begun there is removed.

    A test fails, too, when a query is not answered as expected: `checks` has every answer.
    `verified_backup_id` is set where this backup was only to be read.
    """

    run_id: UUID
    attempt: int
    problem: Problem
    tested_backup_id: UUID | None = None
    checks: list[CheckResult] = []
    verified_backup_id: UUID | None = None


class RestoreCancelled(RestoreFact, frozen=True, kw_only=True):
    """Somebody stopped the restore; what was begun in the target is removed."""

    run_id: UUID
    attempt: int
