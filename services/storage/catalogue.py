"""What the log knows of each store's archives, as the read model tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, Select, Subquery, Text, cast, func, not_, or_, select

from services.storage.copies import is_unlocked, undo_is_over
from services.storage.garbage import Attempt
from shared.messages.base import now
from shared.readmodel.among import among
from shared.readmodel.awaited import awaited_copies
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import (
    COPIED,
    STANDING,
    archives,
    audit_checkpoints,
    backup_attempts,
    backups,
    restores,
    runs,
    server_groups,
    servers,
    stores,
)
from shared.retention.history import histories
from shared.retention.policy import Candidate, judged

_BATCH = 1000
_COMPLETED = backups.c.stored_bytes.is_not(None)
"""Only the completion that ended the run sets it: one that came after another ending does not."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """A run that reads a backup's archive again."""

    run_id: UUID
    backup_id: UUID


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """What a store or a group holds, of what it may. `awaited_bytes`: copies that are to come."""

    stored_bytes: int
    quota_bytes: int | None = None
    awaited_bytes: int = 0

    @property
    def percent(self) -> float:
        """The share of the quota; 0 without one."""
        return 100 * self.stored_bytes / self.quota_bytes if self.quota_bytes else 0.0

    def has_room(self, wanted_bytes: int) -> bool:
        """Whether so much more may come."""
        coming = self.stored_bytes + self.awaited_bytes + wanted_bytes
        return self.quota_bytes is None or coming <= self.quota_bytes


class Catalogue(Protocol):
    """Where storage looks for work. Lists are by age, the oldest first."""

    async def position(self) -> int:
        """The last event that is part of the answers."""

    async def at_least(self, seq: int) -> None:
        """Wait until the event `seq` is part of the answers; raises NotProjectedError."""

    async def store_ids(self) -> list[str]:
        """The stores there are."""

    async def level(self, store_id: str) -> Level:
        """What the store holds, copies too, and its quota."""

    async def group_levels(self) -> dict[str, Level]:
        """The same of each group of servers with a quota, in all stores together."""

    async def audited(self) -> int:
        """The last event that a signed checkpoint of the audit log covers."""

    async def standing(self, store_id: str) -> set[UUID]:
        """Backups that completed there, or were copied there, and were not deleted since."""

    async def corrupt(self, store_id: str) -> list[UUID]:
        """Completed backups that read badly."""

    async def unproven(self, store_id: str) -> list[UUID]:
        """Completed backups whose objects were not read again yet."""

    async def to_verify(self, store_id: str) -> list[Verification]:
        """Readings that somebody asked for and that have not ended."""

    async def unwanted(self, store_id: str) -> list[UUID]:
        """Backups that expired or that somebody wants deleted, if no restore reads them and no
        lock keeps them."""

    async def kept_again(self, backup_ids: Collection[UUID]) -> set[UUID]:
        """Of what expired of these backups, what the policies keep again as things are now: the ids
        of backups, for their own store, and of archives, for further ones."""

    async def looked_for(self, store_id: str, now: datetime, again: timedelta) -> list[Attempt]:
        """Attempts never cleared, or due for another look; living ones may be among them."""

    async def attempts_of(self, store_id: str, backup_ids: Collection[UUID]) -> list[Attempt]:
        """All attempts of these backups in the store."""


class ReadModelCatalogue:
    """The catalogue in Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def position(self) -> int:
        return await self._read_model.position()

    async def at_least(self, seq: int) -> None:
        await self._read_model.at_least(seq)

    async def store_ids(self) -> list[str]:
        return [row.id for row in await self._read_model.rows(select(stores.c.id))]

    async def level(self, store_id: str) -> Level:
        own = select(func.sum(backups.c.stored_bytes)).where(
            backups.c.store_id == store_id, backups.c.status.in_(STANDING)
        )
        copied = select(func.sum(archives.c.stored_bytes)).where(
            archives.c.store_id == store_id, archives.c.status.in_(COPIED)
        )
        setting = await self._read_model.one(
            select(stores.c.quota_bytes).where(stores.c.id == store_id)
        )
        if setting is None or setting.quota_bytes is None:
            return Level(stored_bytes=0)
        awaited = awaited_copies()
        coming = select(func.sum(awaited.c.stored_bytes)).where(awaited.c.store_id == store_id)
        return await self._level(setting.quota_bytes, own, copied, coming)

    async def group_levels(self) -> dict[str, Level]:
        columns = server_groups.c
        limited = select(columns.id, columns.quota_bytes).where(columns.quota_bytes.is_not(None))
        own = select(backups.c.server_id, backups.c.stored_bytes).where(
            backups.c.status.in_(STANDING)
        )
        copied = (
            select(backups.c.server_id, archives.c.stored_bytes)
            .join(backups, backups.c.id == archives.c.backup_id)
            .where(archives.c.status.in_(COPIED))
        )
        quotas = await self._read_model.rows(limited)
        if not quotas:
            return {}
        stored = await self._by_group(own.union_all(copied).subquery())
        awaited = await self._by_group(awaited_copies())
        return {
            row.id: Level(
                stored_bytes=stored.get(row.id, 0),
                quota_bytes=row.quota_bytes,
                awaited_bytes=awaited.get(row.id, 0),
            )
            for row in quotas
        }

    async def _by_group(self, found: Subquery) -> dict[str, int]:
        """The sum of `stored_bytes` of each group with a quota; `found` tells the servers."""
        columns = server_groups.c
        # By server first: a server may be in several groups, and has many backups.
        each = (
            select(found.c.server_id, func.sum(found.c.stored_bytes).label("bytes"))
            .group_by(found.c.server_id)
            .subquery()
        )
        query = (
            select(columns.id, func.sum(each.c.bytes).label("bytes"))
            .select_from(each)
            .join(servers, servers.c.id == cast(each.c.server_id, Text))
            .join(server_groups, servers.c.group_ids.contains(func.jsonb_build_array(columns.id)))
            .where(columns.quota_bytes.is_not(None))
            .group_by(columns.id)
        )
        return {row.id: int(row.bytes or 0) for row in await self._read_model.rows(query)}

    async def _level(self, quota_bytes: int, *sums: Select[Any]) -> Level:
        """`sums`: of archives in their own store, of copies, of copies that are to come."""
        columns = [one.scalar_subquery().label(f"n{place}") for place, one in enumerate(sums)]
        row = await self._read_model.one(select(*columns))
        own, copied, coming = [int(one or 0) for one in row] if row else [0, 0, 0]
        return Level(stored_bytes=own + copied, quota_bytes=quota_bytes, awaited_bytes=coming)

    async def audited(self) -> int:
        row = await self._read_model.one(select(func.max(audit_checkpoints.c.size).label("size")))
        return int(row.size) if row and row.size else 0

    async def standing(self, store_id: str) -> set[UUID]:
        query = select(backups.c.id).where(
            _COMPLETED, backups.c.store_id == store_id, backups.c.status != "deleted"
        )
        copied = select(archives.c.backup_id).where(
            archives.c.store_id == store_id, archives.c.status.in_(COPIED)
        )
        return {row.id for row in await self._read_model.rows(query.union_all(copied))}

    async def corrupt(self, store_id: str) -> list[UUID]:
        return await self._backups(store_id, {"completed"}, backups.c.proof == "corrupt")

    async def unproven(self, store_id: str) -> list[UUID]:
        return await self._backups(store_id, {"completed"}, backups.c.proof == "unverified")

    async def to_verify(self, store_id: str) -> list[Verification]:
        query = (
            select(runs.c.id, runs.c.object_id)
            .join(backups, backups.c.id == runs.c.object_id)
            .where(
                runs.c.kind == "verify",
                runs.c.status == "requested",
                backups.c.store_id == store_id,
            )
            .order_by(runs.c.requested_seq)
        )
        rows = await self._read_model.rows(query)
        return [Verification(run_id=row.id, backup_id=row.object_id) for row in rows]

    async def unwanted(self, store_id: str) -> list[UUID]:
        unwanted = await self._backups(
            store_id, {"expired", "deleting"}, undo_is_over(backups), is_unlocked(backups)
        )
        query = select(restores.c.backup_id).where(restores.c.status.in_(("requested", "running")))
        read = {row.backup_id for row in await self._read_model.rows(query)}
        return [backup_id for backup_id in unwanted if backup_id not in read]

    async def kept_again(self, backup_ids: Collection[UUID]) -> set[UUID]:
        of = select(backups.c.database_id).where(among(backups.c.id, backup_ids)).distinct()
        database_ids = [row.database_id for row in await self._read_model.rows(of)]
        kept: set[UUID] = set()
        for start in range(0, len(database_ids), _BATCH):
            some = database_ids[start : start + _BATCH]
            found = await histories(self._read_model, some, leaving=True)
            returning = await asyncio.to_thread(_kept_again, [*found.values()])
            kept |= {one.archive_id or one.backup_id for one in returning}
        return kept

    async def looked_for(self, store_id: str, now: datetime, again: timedelta) -> list[Attempt]:
        ended = backups.c.completed_at
        query = _attempts(store_id).where(
            # Not the one that completed: there is one for every backup that stands.
            or_(not_(_COMPLETED), backup_attempts.c.attempt < backups.c.attempt),
            or_(
                backup_attempts.c.deleted_at.is_(None),
                (ended + again <= now) & (backup_attempts.c.deleted_at < ended + again),
            ),
        )
        return [_attempt(row) for row in await self._read_model.rows(query)]

    async def attempts_of(self, store_id: str, backup_ids: Collection[UUID]) -> list[Attempt]:
        found: list[Attempt] = []
        wanted = sorted(backup_ids)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            query = _attempts(store_id).where(backup_attempts.c.backup_id.in_(batch))
            found += [_attempt(row) for row in await self._read_model.rows(query)]
        return found

    async def _backups(
        self, store_id: str, statuses: Collection[str], *more: ColumnElement[bool]
    ) -> list[UUID]:
        query = (
            select(backups.c.id)
            .where(backups.c.store_id == store_id, backups.c.status.in_(statuses), *more)
            .order_by(backups.c.requested_at, backups.c.id)
        )
        return [row.id for row in await self._read_model.rows(query)]


def _kept_again(histories: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    at = now()
    return [one.candidate for some in histories for one in judged(some, at).returning]


def _attempts(store_id: str) -> Select[Any]:
    return (
        select(
            backup_attempts.c.backup_id,
            backup_attempts.c.attempt,
            backup_attempts.c.prefix,
            backup_attempts.c.deleted_at,
            backups.c.status,
            backups.c.attempt.label("latest"),
            backups.c.completed_at.label("ended_at"),
            _COMPLETED.label("archived"),
        )
        .join(backups, backups.c.id == backup_attempts.c.backup_id)
        .where(backup_attempts.c.store_id == store_id)
        .order_by(backup_attempts.c.seq)
    )


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        backup_id=row.backup_id,
        number=row.attempt,
        prefix=row.prefix,
        status=row.status,
        latest=row.latest,
        archived=row.archived,
        ended_at=row.ended_at,
        deleted_at=row.deleted_at,
    )
