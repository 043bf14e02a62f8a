"""The archives that stand in a store and are to be read again from time to time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import UUID as UUID_SQL
from sqlalchemy import Row, Select, cast, literal, null, select, tuple_

from services.storage.verification import Written, written
from shared.messages.values import ArchiveFacts
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import archives, backup_metadata, backups


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An archive's place in the order in which a store is scrubbed: by age, then by backup."""

    since: datetime
    backup_id: UUID


class Kept(msgspec.Struct, frozen=True):
    """An archive in one store. `archive_id` is None for the one in the backup's own store."""

    backup_id: UUID
    archive_id: UUID | None
    folder: str
    written: Written
    since: datetime
    proof: str

    @property
    def place(self) -> Place:
        return Place(since=self.since, backup_id=self.backup_id)


class KeptArchives(Protocol):
    """Where a scrub looks."""

    async def after(self, store_id: str, place: Place | None, limit: int) -> Sequence[Kept]:
        """The next archives in the store behind `place`, at most `limit`, in order.

        What completed and was not read again yet is not among them: that is read anyway.
        """


class ReadModelKept:
    """The archives in Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def after(self, store_id: str, place: Place | None, limit: int) -> Sequence[Kept]:
        found: list[Kept] = []
        for query in (_own(store_id), _copied(store_id)):
            rows = await self._read_model.rows(_behind(query, place).limit(limit))
            found += [_kept(row) for row in rows]
        return sorted(found, key=lambda one: (one.since, one.backup_id))[:limit]


def _own(store_id: str) -> Select[Any]:
    return (
        select(
            backups.c.id.label("backup_id"),
            cast(null(), UUID_SQL).label("archive_id"),
            backups.c.prefix.label("folder"),
            backup_metadata.c.archive,
            backups.c.envelope,
            backups.c.envelope_sha256,
            backups.c.completed_at.label("since"),
            backups.c.proof,
        )
        .join(backup_metadata, backup_metadata.c.backup_id == backups.c.id)
        .where(
            backups.c.store_id == store_id,
            backups.c.status == "completed",
            backups.c.proof != "unverified",
        )
    )


def _copied(store_id: str) -> Select[Any]:
    return (
        select(
            archives.c.backup_id,
            archives.c.id.label("archive_id"),
            archives.c.prefix.label("folder"),
            backup_metadata.c.archive,
            archives.c.envelope,
            archives.c.envelope_sha256,
            archives.c.stored_at.label("since"),
            archives.c.proof,
        )
        .join(backup_metadata, backup_metadata.c.backup_id == archives.c.backup_id)
        .where(archives.c.store_id == store_id, archives.c.status == "stored")
    )


def _kept(row: Row[Any]) -> Kept:
    archive = msgspec.convert(row.archive, ArchiveFacts)
    return Kept(
        backup_id=row.backup_id,
        archive_id=row.archive_id,
        folder=row.folder,
        written=written(archive, (row.envelope, row.envelope_sha256)),
        since=row.since,
        proof=row.proof,
    )


def _behind(query: Select[Any], place: Place | None) -> Select[Any]:
    since, backup_id = query.selected_columns["since"], query.selected_columns["backup_id"]
    if place is not None:
        here = tuple_(literal(place.since), literal(place.backup_id))
        query = query.where(tuple_(since, backup_id) > here)
    return query.order_by(since, backup_id)
