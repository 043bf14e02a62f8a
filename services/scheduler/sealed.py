"""Which archives are sealed to another key than the newest, as the read model knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import UUID as UUID_SQL
from sqlalchemy import Row, Select, cast, null, select

from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import COPIED, STANDING, archives, backups, runs


class Sealed(msgspec.Struct, frozen=True):
    """An archive in one store. `archive_id` is None for the one in the backup's own store."""

    id: UUID
    backup_id: UUID
    archive_id: UUID | None
    store_id: str
    prefix: str


class SealedArchives(Protocol):
    """Where a rotation looks; every method raises UnavailableError while it cannot."""

    async def at_least(self, seq: int) -> None:
        """Wait until the event `seq` is part of the answers; raises NotProjectedError."""

    async def otherwise(self, key_id: str, after: UUID | None, limit: int) -> Sequence[Sealed]:
        """Archives behind `after` that stand in a store and are not known to be sealed to the key,
        at most `limit`, by id."""

    async def under_way(self) -> set[UUID]:
        """Backups and copies that may yet end with an envelope sealed to an older key."""


class ReadModelSealed:
    """The archives in Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def at_least(self, seq: int) -> None:
        await self._read_model.at_least(seq)

    async def otherwise(self, key_id: str, after: UUID | None, limit: int) -> Sequence[Sealed]:
        found: list[Sealed] = []
        for query in (_own(key_id), _copied(key_id)):
            of = query.selected_columns["id"]
            behind = query if after is None else query.where(of > after)
            rows: Sequence[Row[Any]] = await self._read_model.rows(behind.order_by(of).limit(limit))
            found += [Sealed(*tuple(row)) for row in rows]
        return sorted(found, key=lambda one: one.id)[:limit]

    async def under_way(self) -> set[UUID]:
        open_runs = select(runs.c.id).where(
            runs.c.kind == "backup", runs.c.status.in_(("requested", "dispatched", "running"))
        )
        copies = select(archives.c.id).where(archives.c.status == "requested")
        return {row.id for row in await self._read_model.rows(open_runs.union_all(copies))}


def _own(key_id: str) -> Select[Any]:
    return select(
        backups.c.id,
        backups.c.id.label("backup_id"),
        cast(null(), UUID_SQL).label("archive_id"),
        backups.c.store_id,
        backups.c.prefix,
    ).where(
        backups.c.stored_bytes.is_not(None),
        backups.c.status.in_(STANDING),
        backups.c.key_id.is_distinct_from(key_id),
    )


def _copied(key_id: str) -> Select[Any]:
    return select(
        archives.c.id,
        archives.c.backup_id,
        archives.c.id.label("archive_id"),
        archives.c.store_id,
        archives.c.prefix,
    ).where(archives.c.status.in_(COPIED), archives.c.key_id.is_distinct_from(key_id))
