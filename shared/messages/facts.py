"""Facts: what happened, in the past tense, in reading order."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, TypeAlias
from uuid import UUID

from shared.keys.sealed import Sealed
from shared.messages.base import Fact, Key
from shared.messages.values import (
    ArchiveFacts,
    BackupType,
    DatabaseRef,
    FoundDatabase,
    Health,
    Method,
    Problem,
    TableContent,
)


class BackupFact(Fact, frozen=True, kw_only=True):
    """About one backup."""

    KEYED_BY: ClassVar[str] = "backup_id"
    backup_id: UUID


class BackupRequested(BackupFact, frozen=True, kw_only=True):
    """Somebody, or a schedule, wants a backup. The first fact of a backup: expects 0."""

    run_id: UUID
    database: DatabaseRef
    store_id: str
    run_pool: Key
    type_wanted: BackupType = BackupType.FULL
    method: Method = Method.LOGICAL
    codec: str = "zstd"
    note: str = ""


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


class BackupVerified(BackupFact, frozen=True, kw_only=True):
    """Every object was read from the store again and has the hash its manifest says."""

    bytes_read: int
    seconds: float


class BackupCorrupted(BackupFact, frozen=True, kw_only=True):
    """An object is missing, cut or changed: the backup cannot be restored from this store."""

    problem: Problem


class BackupExpired(BackupFact, frozen=True, kw_only=True):
    """A policy keeps the backup no longer."""

    reason: str


class BackupDeleteRequested(BackupFact, frozen=True, kw_only=True):
    """Somebody wants the backup deleted."""

    reason: str = ""


class BackupDeleted(BackupFact, frozen=True, kw_only=True):
    """The backup's objects are gone from its store, manifest first."""

    freed_bytes: int


class BackupGarbageDeleted(BackupFact, frozen=True, kw_only=True):
    """What one attempt without a backup left behind is gone from the store."""

    attempt: int
    freed_bytes: int


class RestoreFact(Fact, frozen=True, kw_only=True):
    """About one restore."""

    KEYED_BY: ClassVar[str] = "restore_id"
    restore_id: UUID


class RestoreRequested(RestoreFact, frozen=True, kw_only=True):
    """Somebody wants a backup restored into a new database. First fact: expects 0."""

    run_id: UUID
    backup_id: UUID
    target: DatabaseRef
    run_pool: Key
    reason: str = ""


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


class RunFact(Fact, frozen=True, kw_only=True):
    """About one run."""

    KEYED_BY: ClassVar[str] = "run_id"
    run_id: UUID


class RunDispatched(RunFact, frozen=True, kw_only=True):
    """The scheduler gave the run to a pool. Expects 0: no run is dispatched twice."""

    kind: str
    run_pool: Key
    order_id: UUID


class RunCancelRequested(RunFact, frozen=True, kw_only=True):
    """Somebody wants the run stopped; said on the pool that works on it."""


class ServerFact(Fact, frozen=True, kw_only=True):
    """About one server."""

    KEYED_BY: ClassVar[str] = "server_id"
    server_id: UUID


class ServerTestRequested(ServerFact, frozen=True, kw_only=True):
    """Somebody wants to know whether the platform reaches the server's engines."""

    run_id: UUID
    run_pool: Key


class ServerTested(ServerFact, frozen=True, kw_only=True):
    """The answer to a test: the version of each endpoint, or why it cannot be used."""

    run_id: UUID
    versions: dict[str, str] = {}
    problem: Problem | None = None


class ServerDiscoveryRequested(ServerFact, frozen=True, kw_only=True):
    """Somebody wants the list of databases on the server."""

    run_id: UUID
    run_pool: Key


class ServerDiscovered(ServerFact, frozen=True, kw_only=True):
    """The databases on the server's endpoints, or why they cannot be listed."""

    run_id: UUID
    databases: list[FoundDatabase] = []
    problem: Problem | None = None


class ServerHealthChanged(ServerFact, frozen=True, kw_only=True):
    """The judgement of a server differs from the last one."""

    health: Health
    was: Health
    problem: Problem | None = None


class ServiceFact(Fact, frozen=True, kw_only=True):
    """About one of the platform's own services."""

    KEYED_BY: ClassVar[str] = "service"
    service: Key


class ServiceWentDown(ServiceFact, frozen=True, kw_only=True):
    """No heartbeat of any replica for too long."""

    last_beat_at: datetime | None = None


class ServiceCameBack(ServiceFact, frozen=True, kw_only=True):
    """A service that was down beats again."""


class NotificationFact(Fact, frozen=True, kw_only=True):
    """About one delivery of one fact to one channel."""

    KEYED_BY: ClassVar[str] = "notification_id"
    notification_id: UUID
    channel_id: str
    fact_id: UUID
    fact_type: str


class NotificationSent(NotificationFact, frozen=True, kw_only=True):
    """The receiver accepted it."""

    tries: int


class NotificationFailed(NotificationFact, frozen=True, kw_only=True):
    """Given up after `tries`."""

    tries: int
    problem: Problem


class UserFact(Fact, frozen=True, kw_only=True):
    """About one account."""

    KEYED_BY: ClassVar[str] = "user_id"
    user_id: Key


class UserSignedIn(UserFact, frozen=True, kw_only=True):
    """Somebody proved to be the account; `address` is sealed with the person's key."""

    address: Sealed | None = None


class UserSignInRefused(UserFact, frozen=True, kw_only=True):
    """A sign-in for an existing account failed."""

    address: Sealed | None = None


class UserSignedOut(UserFact, frozen=True, kw_only=True):
    """The session ended by the account's wish."""


class KeyFact(Fact, frozen=True, kw_only=True):
    """About one sealing key."""

    KEYED_BY: ClassVar[str] = "key_id"
    key_id: Key


class KeyErased(KeyFact, frozen=True, kw_only=True):
    """The key is gone for ever, and with it everything that was sealed under it."""

    reason: str


class LogFact(Fact, frozen=True, kw_only=True):
    """About the event log itself."""

    KEYED_BY: ClassVar[str] = "incident_id"
    incident_id: UUID


class LogRepaired(LogFact, frozen=True, kw_only=True):
    """The stream was damaged and has been re-created from event_log."""

    problem: Problem
    last_seq: int
    restored: int
    appended_after_fork: int


AnyFact: TypeAlias = (
    BackupRequested
    | BackupAttempted
    | BackupCompleted
    | BackupFailed
    | BackupCancelled
    | BackupVerified
    | BackupCorrupted
    | BackupExpired
    | BackupDeleteRequested
    | BackupDeleted
    | BackupGarbageDeleted
    | RestoreRequested
    | RestoreAttempted
    | RestoreCompleted
    | RestoreFailed
    | RestoreCancelled
    | RunDispatched
    | RunCancelRequested
    | ServerTestRequested
    | ServerTested
    | ServerDiscoveryRequested
    | ServerDiscovered
    | ServerHealthChanged
    | ServiceWentDown
    | ServiceCameBack
    | NotificationSent
    | NotificationFailed
    | UserSignedIn
    | UserSignInRefused
    | UserSignedOut
    | KeyErased
    | LogRepaired
)
