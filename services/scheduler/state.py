"""What the scheduler decides on, as the read model knows it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias, cast
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, Select, func, select

from services.scheduler.chains import Archived, Place
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
from shared.messages.values import ArchiveFacts, BackupType, Check
from shared.messages.wire import decode
from shared.readmodel.configured import platform_of, server_of, store_of
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import (
    archives,
    audit_checkpoints,
    audit_logs,
    backup_metadata,
    backups,
    dispatch,
    event_log,
    platform,
    restores,
    runs,
    schedules,
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

    async def store_limits(self) -> Mapping[str, int]:
        """How many runs each store allows at once; 0 is any number."""

    async def is_paused(self) -> bool:
        """Whether somebody paused the dispatch of runs."""

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

    async def checks(self, backup_id: UUID) -> list[Check]:
        """What a restore test of the backup asks: of the schedule that made it."""

    async def chain(self, chain_id: UUID) -> Sequence[Archived]:
        """Every completed backup of a chain, the newest first."""

    async def newest_chain(self, database_id: UUID, store_id: str) -> Sequence[Archived]:
        """The same of the chain to which the last completed backup in the store belongs."""

    async def need(
        self,
        server: ServerSetting,
        stores: Sequence[StoreSetting],
        database_id: UUID,
        kind: BackupType,
    ) -> Need:
        """What the next backup of this type of a database needs of the quotas that concern it."""

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
        made, read = backups.alias("made"), backups.alias("read")
        query = (
            select(*_OF_RUN, func.coalesce(made.c.store_id, read.c.store_id).label("store_id"))
            .outerjoin(made, made.c.id == runs.c.object_id)
            .outerjoin(restores, restores.c.id == runs.c.object_id)
            .outerjoin(read, read.c.id == restores.c.backup_id)
            .where(mine)
            .order_by(runs.c.requested_seq)
        )
        return [_run(row) for row in await self._read_model.rows(query)]

    async def run_limits(self) -> Mapping[UUID, int]:
        rows = await self._read_model.rows(select(servers.c.id, servers.c.run_limit))
        return {UUID(row.id): row.run_limit for row in rows}

    async def store_limits(self) -> Mapping[str, int]:
        rows = await self._read_model.rows(select(stores.c.id, stores.c.run_limit))
        return {row.id: row.run_limit or 0 for row in rows}

    async def is_paused(self) -> bool:
        paused = select(dispatch.c.id).where(dispatch.c.paused)
        return await self._row("paused", paused) is not None

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
        found = await self._archived(backups.c.id == backup_id)
        return found[0] if found else None

    async def checks(self, backup_id: UUID) -> list[Check]:
        query = (
            select(schedules.c.checks, backups.c.database_id)
            .join(backups, backups.c.schedule_id == schedules.c.id)
            .where(backups.c.id == backup_id)
        )
        row = await self._read_model.one(query)
        found = msgspec.convert(row.checks, list[Check]) if row else []
        return [
            one
            for one in found
            if row and (not one.database_ids or str(row.database_id) in one.database_ids)
        ]

    async def chain(self, chain_id: UUID) -> Sequence[Archived]:
        return await self._archived(backups.c.chain_id == chain_id)

    async def newest_chain(self, database_id: UUID, store_id: str) -> Sequence[Archived]:
        newest = (
            select(backups.c.chain_id)
            .where(
                backups.c.database_id == database_id,
                backups.c.store_id == store_id,
                backups.c.status == "completed",
            )
            .order_by(backups.c.taken_at.desc())
            .limit(1)
        )
        return await self._archived(backups.c.chain_id == newest.scalar_subquery())

    async def _archived(self, which: ColumnElement[bool]) -> list[Archived]:
        query = (
            select(backups, backup_metadata.c.archive)
            .outerjoin(backup_metadata, backup_metadata.c.backup_id == backups.c.id)
            .where(which)
            .order_by(backups.c.taken_at.desc())
        )
        rows = await self._read_model.rows(query)
        good = select(archives.c.backup_id, archives.c.store_id, archives.c.prefix).where(
            archives.c.backup_id.in_([row.id for row in rows]),
            archives.c.status == "stored",
            archives.c.proof != "corrupt",
        )
        copies: dict[UUID, list[Place]] = defaultdict(list)
        for copy in await self._read_model.rows(good.order_by(archives.c.stored_at)):
            copies[copy.backup_id].append((copy.store_id, copy.prefix))
        return [_archived(row, copies[row.id]) for row in rows]

    async def platform(self) -> PlatformSetting | None:
        row = await self._row("platform", select(platform).where(platform.c.id == "self"))
        return platform_of(row) if row else None

    async def need(
        self,
        server: ServerSetting,
        stores: Sequence[StoreSetting],
        database_id: UUID,
        kind: BackupType,
    ) -> Need:
        return await need_of(self._read_model, server, stores, database_id, kind)

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
    run_id, kind, object_id, server_id, pool, status, attempts, cancelled_at, seq, at, store_id = (
        cast("tuple[Any, ...]", row)
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
        store_id=store_id,
    )


def _archived(row: Row[Any], copies: list[Place]) -> Archived:
    return Archived(
        id=row.id,
        status=row.status,
        proof=row.proof,
        store_id=row.store_id,
        prefix=row.prefix,
        endpoint=row.endpoint,
        server_id=row.server_id,
        archive=msgspec.convert(row.archive, ArchiveFacts) if row.archive else None,
        parent_id=row.parent_id,
        chain_id=row.chain_id,
        method=row.method,
        deletion_wanted=row.delete_requested_at is not None,
        copies=copies,
        signed_by=row.signed_by,
    )
