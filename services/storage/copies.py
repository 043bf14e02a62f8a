"""Which copies of backups a store is to hold, or to lose, as the read model tells it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, Select, Table, and_, or_, select

from services.storage.verification import Written, written
from shared.messages.base import now
from shared.messages.values import ArchiveFacts
from shared.readmodel.among import among
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import (
    COPIED,
    archives,
    backup_attempts,
    backup_metadata,
    backups,
    restores,
)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A store with a good archive of a backup, and what it has to be when it is read."""

    store_id: str
    written: Written


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that is wanted, and where the same archive stands already, best first.

    `folder` is the same in every store: the contents do not depend on the place.
    """

    archive_id: UUID
    backup_id: UUID
    store_id: str
    folder: str
    requested_at: datetime
    sources: list[Source]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that is to go. `wish` says whether somebody asked for the backup's deletion."""

    archive_id: UUID
    backup_id: UUID
    folder: str
    wish: bool


class Copies(Protocol):
    """Where storage looks for copies to make and to remove."""

    async def not_asked_for(self, store_id: str) -> list[UUID]:
        """Completed backups that are to stand in this store, too, with nothing said of it yet."""

    async def wanted(self, store_id: str) -> list[Copy]:
        """Copies that were asked for and do not stand yet."""

    async def unwanted(self, store_id: str) -> list[Standing]:
        """Copies that expired, or whose backup somebody wants deleted, and no restore reads."""

    async def folders(self, store_id: str, backup_ids: Collection[UUID]) -> set[UUID]:
        """Those of the backups that have, or may have, a copy in this store, or moved here."""


class ReadModelCopies:
    """The copies in Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def not_asked_for(self, store_id: str) -> list[UUID]:
        known = select(archives.c.id).where(
            archives.c.backup_id == backups.c.id, archives.c.store_id == store_id
        )
        query = select(backups.c.id).where(
            backups.c.status == "completed",
            backups.c.further_store_ids.contains([store_id]),
            backups.c.store_id != store_id,
            ~known.exists(),
        )
        return [row.id for row in await self._read_model.rows(query)]

    async def wanted(self, store_id: str) -> list[Copy]:
        query = (
            select(
                archives.c.id,
                archives.c.backup_id,
                archives.c.requested_at,
                backups.c.prefix,
                backups.c.status,
                backups.c.proof,
                backups.c.store_id,
                backups.c.envelope,
                backups.c.envelope_sha256,
                backup_metadata.c.archive,
            )
            .join(backups, backups.c.id == archives.c.backup_id)
            .join(backup_metadata, backup_metadata.c.backup_id == archives.c.backup_id)
            .where(
                archives.c.store_id == store_id,
                archives.c.status == "requested",
                backups.c.delete_requested_at.is_(None),
            )
            .order_by(archives.c.requested_at)
        )
        rows = await self._read_model.rows(query)
        beside = await self._beside(store_id, [row.backup_id for row in rows])
        return [_copy(row, store_id, beside.get(row.backup_id, [])) for row in rows]

    async def _beside(self, store_id: str, backup_ids: list[UUID]) -> dict[UUID, list[Row[Any]]]:
        columns = (archives.c.store_id, archives.c.envelope, archives.c.envelope_sha256)
        query = select(archives.c.backup_id, *columns).where(
            among(archives.c.backup_id, backup_ids),
            archives.c.store_id != store_id,
            archives.c.status == "stored",
            archives.c.proof != "corrupt",
        )
        found: dict[UUID, list[Row[Any]]] = {}
        for row in await self._read_model.rows(query) if backup_ids else ():
            found.setdefault(row.backup_id, []).append(row)
        return found

    async def unwanted(self, store_id: str) -> list[Standing]:
        reading = select(restores.c.id).where(
            restores.c.backup_id == archives.c.backup_id,
            restores.c.status.in_(("requested", "running")),
        )
        query = _joined().where(
            archives.c.store_id == store_id,
            or_(
                and_(archives.c.status == "expired", undo_is_over(archives)),
                and_(
                    archives.c.status.in_(("requested", *COPIED)),
                    backups.c.delete_requested_at.is_not(None),
                    undo_is_over(backups),
                ),
            ),
            is_unlocked(archives),
            ~reading.exists(),
        )
        return [
            Standing(
                archive_id=row.id,
                backup_id=row.backup_id,
                folder=row.prefix or row.place,
                wish=row.delete_requested_at is not None,
            )
            for row in await self._read_model.rows(query)
        ]

    async def folders(self, store_id: str, backup_ids: Collection[UUID]) -> set[UUID]:
        copied = select(archives.c.backup_id).where(
            archives.c.store_id == store_id, among(archives.c.backup_id, backup_ids)
        )
        attempted = select(backup_attempts.c.backup_id).where(
            backup_attempts.c.backup_id == backups.c.id, backup_attempts.c.store_id == store_id
        )
        moved = select(backups.c.id).where(
            backups.c.store_id == store_id, among(backups.c.id, backup_ids), ~attempted.exists()
        )
        rows = await self._read_model.rows(copied.union_all(moved))
        return {row.backup_id for row in rows}


def undo_is_over(table: Table) -> ColumnElement[bool]:
    """The condition for what waits no longer for somebody to take its deletion back."""
    return or_(table.c.delete_after.is_(None), table.c.delete_after <= now())


def is_unlocked(table: Table) -> ColumnElement[bool]:
    """The condition for what its store lets be deleted; what is locked just waits."""
    return or_(table.c.locked_until.is_(None), table.c.locked_until <= now())


def _joined() -> Select[Any]:
    return (
        select(
            archives.c.id,
            archives.c.backup_id,
            archives.c.prefix,
            backups.c.prefix.label("place"),
            backups.c.delete_requested_at,
        )
        .join(backups, backups.c.id == archives.c.backup_id)
        .order_by(archives.c.requested_at)
    )


def _copy(row: Row[Any], store_id: str, beside: list[Row[Any]]) -> Copy:
    own = row.status == "completed" and row.proof != "corrupt"
    archive = msgspec.convert(row.archive, ArchiveFacts)
    return Copy(
        archive_id=row.id,
        backup_id=row.backup_id,
        store_id=store_id,
        folder=row.prefix,
        requested_at=row.requested_at,
        sources=[_source(one, archive) for one in [*([row] if own else []), *beside]],
    )


def _source(row: Row[Any], archive: ArchiveFacts) -> Source:
    newest = (row.envelope, row.envelope_sha256)
    return Source(store_id=row.store_id, written=written(archive, newest))
