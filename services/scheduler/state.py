"""What the scheduler decides on, as the read model knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias, cast
from uuid import UUID

import msgspec
from sqlalchemy import Row, Select, func, select

from services.scheduler.filling import need_of
from services.scheduler.limits import Load
from services.scheduler.quotas import Need
from shared.errors import PlatformError
from shared.messages.facts import (
    BackupRequested,
    ExecutionRequested,
    RestoreRequested,
    ServerDiscoveryRequested,
    ServerTestRequested,
)
from shared.messages.settings import PlatformSetting, ServerSetting, StoreSetting
from shared.messages.values import ArchiveFacts
from shared.messages.wire import decode
from shared.readmodel.configured import platform_of, server_of, store_of
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import (
    archives,
    audit_checkpoints,
    audit_logs,
    backup_metadata,
    backups,
    event_log,
    platform,
    runs,
    servers,
    stores,
)

Request: TypeAlias = (
    BackupRequested
    | RestoreRequested
    | ExecutionRequested
    | ServerTestRequested
    | ServerDiscoveryRequested
)

_OF_RUN = (
    *(runs.c.id, runs.c.kind, runs.c.object_id, runs.c.server_id, runs.c.pool, runs.c.status),
    *(runs.c.attempts, runs.c.cancel_requested_at, runs.c.requested_seq, runs.c.dispatched_at),
)
_OPEN = ("requested", "dispatched", "running")


class Run(Load, frozen=True, kw_only=True):
    """A run that has not ended."""

    object_id: UUID
    status: str
    attempts: int
    cancel_requested: bool
    dispatched_at: datetime | None


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """A backup, as a restore needs it; `archive` is None until it was completed.

    `copies`: store and prefix of each good copy in a further store.
    """

    status: str
    proof: str
    store_id: str
    prefix: str | None
    endpoint: str
    server_id: UUID
    archive: ArchiveFacts | None
    deletion_wanted: bool = False
    copies: list[tuple[str, str]] = []


class State(Protocol):
    """Where the scheduler looks; every method raises UnavailableError while it cannot."""

    def look_anew(self) -> None:
        """Answer nothing from memory that was asked before now."""

    async def at_least(self, seq: int) -> None:
        """Wait until the event `seq` is part of the answers; raises NotProjectedError."""

    async def open_runs(self) -> list[Run]:
        """Every run that has not ended."""

    async def run_limits(self) -> Mapping[UUID, int]:
        """How many runs each server allows at once."""

    async def request(self, seq: int) -> Request | None:
        """The request that stands at this sequence of the log."""

    async def headers(self, seq: int) -> Mapping[str, str]:
        """The headers of the event that stands at this sequence of the log."""

    async def server(self, server_id: UUID) -> ServerSetting | None:
        """The server, unless it was removed."""

    async def store(self, store_id: str) -> StoreSetting | None:
        """The store, unless it was removed."""

    async def backup(self, backup_id: UUID) -> Archived | None:
        """The backup, if there ever was one."""

    async def need(
        self, server: ServerSetting, stores: Sequence[StoreSetting], database_id: UUID
    ) -> Need:
        """What the next backup of a database needs of the quotas that concern it."""

    async def platform(self) -> PlatformSetting | None:
        """This installation; None before its first start is over."""

    async def checkpoint(self) -> str:
        """The newest audit checkpoint, or nothing before the first."""

    async def is_checkpointed(self, seq: int) -> bool:
        """Whether an audit checkpoint has passed the event `seq`."""

    async def is_stored(self, event_id: UUID) -> bool:
        """Whether an event of this id is projected."""


class ReadModelState:
    """State from Postgres.

    What many runs share, and what is asked of one run twice, is asked once per look: a thousand
    orders at the same moment would else be six thousand queries.
    """

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._asked: dict[object, asyncio.Future[Row[Any] | None]] = {}

    def look_anew(self) -> None:
        self._asked = {}

    async def _row(self, about: object, query: Select[Any]) -> Row[Any] | None:
        asked = self._asked.get(about)
        if asked is None:
            asked = asyncio.ensure_future(self._read_model.one(query))
            self._asked[about] = asked
        try:
            return await asyncio.shield(asked)
        except PlatformError:
            if self._asked.get(about) is asked:
                del self._asked[about]
            raise

    async def _event(self, seq: int) -> Row[Any] | None:
        columns = (event_log.c.data, event_log.c.headers)
        return await self._row(("event", seq), select(*columns).where(event_log.c.seq == seq))

    async def at_least(self, seq: int) -> None:
        await self._read_model.at_least(seq)

    async def open_runs(self) -> list[Run]:
        # Verifications are storage's own: nobody dispatches them.
        mine = runs.c.status.in_(_OPEN) & (runs.c.kind != "verify")
        query = select(*_OF_RUN).where(mine).order_by(runs.c.requested_seq)
        return [_run(row) for row in await self._read_model.rows(query)]

    async def run_limits(self) -> Mapping[UUID, int]:
        rows = await self._read_model.rows(select(servers.c.id, servers.c.run_limit))
        return {UUID(row.id): row.run_limit for row in rows}

    async def request(self, seq: int) -> Request | None:
        row = await self._event(seq)
        message = decode(row.data) if row else None
        return message if isinstance(message, Request) else None

    async def headers(self, seq: int) -> Mapping[str, str]:
        row = await self._event(seq)
        return msgspec.json.decode(row.headers, type=dict[str, str]) if row else {}

    async def server(self, server_id: UUID) -> ServerSetting | None:
        query = select(servers).where(servers.c.id == str(server_id))
        row = await self._row(("server", server_id), query)
        return server_of(row) if row else None

    async def store(self, store_id: str) -> StoreSetting | None:
        row = await self._row(("store", store_id), select(stores).where(stores.c.id == store_id))
        return store_of(row) if row else None

    async def backup(self, backup_id: UUID) -> Archived | None:
        query = (
            select(backups, backup_metadata.c.archive)
            .outerjoin(backup_metadata, backup_metadata.c.backup_id == backups.c.id)
            .where(backups.c.id == backup_id)
        )
        row = await self._read_model.one(query)
        good = select(archives.c.store_id, archives.c.prefix).where(
            archives.c.backup_id == backup_id,
            archives.c.status == "stored",
            archives.c.proof != "corrupt",
        )
        copies = await self._read_model.rows(good.order_by(archives.c.stored_at))
        return _archived(row, copies) if row else None

    async def platform(self) -> PlatformSetting | None:
        row = await self._row("platform", select(platform).where(platform.c.id == "self"))
        return platform_of(row) if row else None

    async def need(
        self, server: ServerSetting, stores: Sequence[StoreSetting], database_id: UUID
    ) -> Need:
        return await need_of(self._read_model, server, stores, database_id)

    async def checkpoint(self) -> str:
        newest = select(audit_checkpoints.c.note).order_by(audit_checkpoints.c.size.desc())
        row = await self._row("checkpoint", newest.limit(1))
        return str(row.note) if row else ""

    async def is_checkpointed(self, seq: int) -> bool:
        leaf = select(audit_logs.c.n).where(audit_logs.c.seq == seq).scalar_subquery()
        covered = select(func.max(audit_checkpoints.c.size) > leaf)
        row = await self._read_model.one(covered)
        return bool(row and row[0])

    async def is_stored(self, event_id: UUID) -> bool:
        query = select(event_log.c.seq).where(event_log.c.event_id == str(event_id))
        return await self._read_model.one(query) is not None


def _run(row: Row[Any]) -> Run:
    # By place: a thousand open runs are read again at every look.
    run_id, kind, object_id, server_id, pool, status, attempts, cancelled_at, seq, at = cast(
        "tuple[Any, ...]", row
    )
    return Run(
        run_id=run_id,
        kind=kind,
        object_id=object_id,
        server_id=server_id,
        pool=pool,
        status=status,
        attempts=attempts,
        cancel_requested=cancelled_at is not None,
        requested_seq=seq,
        dispatched_at=at,
    )


def _archived(row: Row[Any], copies: Sequence[Row[Any]]) -> Archived:
    return Archived(
        status=row.status,
        proof=row.proof,
        store_id=row.store_id,
        prefix=row.prefix,
        endpoint=row.endpoint,
        server_id=row.server_id,
        archive=msgspec.convert(row.archive, ArchiveFacts) if row.archive else None,
        deletion_wanted=row.delete_requested_at is not None,
        copies=[(copy.store_id, copy.prefix) for copy in copies],
    )
