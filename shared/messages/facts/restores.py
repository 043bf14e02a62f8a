"""Facts about restores."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact, Key
from shared.messages.values import (
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

    `store_id` says from which of its stores; without it from its own, or from a good copy.
    """

    run_id: UUID
    backup_id: UUID
    target: DatabaseRef
    run_pool: Key
    reason: str = ""
    store_id: str | None = None


class RestoreAttempted(RestoreFact, frozen=True, kw_only=True):
    """A worker is about to write into the target."""

    run_id: UUID
    attempt: int
    worker: str


class RestoreCompleted(RestoreFact, frozen=True, kw_only=True):
    """The target holds what the backup recorded: every table was counted or hashed."""

    run_id: UUID
    attempt: int
    seconds: float
    raw_bytes: int
    tables: list[TableContent]


class RestoreFailed(RestoreFact, frozen=True, kw_only=True):
    """The target was not restored, and what was begun there is removed."""

    run_id: UUID
    attempt: int
    problem: Problem


class RestoreCancelled(RestoreFact, frozen=True, kw_only=True):
    """Somebody stopped the restore; what was begun in the target is removed."""

    run_id: UUID
    attempt: int
