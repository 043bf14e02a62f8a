"""The last backup of each database that can be restored, as far as is known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, not_, select, true

from shared.readmodel.among import among
from shared.readmodel.reader import ReadModel
from shared.readmodel.standing import is_good, is_whole
from shared.readmodel.tables import backups, databases
from shared.restorability import Restorable, restorabilities

_AT_ONCE = 50
_COLUMNS = (
    backups.c.id,
    backups.c.parent_id,
    backups.c.chain_id,
    backups.c.database_id,
    backups.c.taken_at,
)


async def last_good(read_model: ReadModel) -> dict[UUID, datetime]:
    """When its data was taken, by database; raises UnavailableError.

    Nothing of it, and of no backup that it builds on, is known to be gone or damaged. A database
    all of whose backups are damaged in their own store, or are to be deleted, is not among them.
    """
    newest = await _newest(read_model)
    found = {row.database_id: row.taken_at for row in newest}
    for row in await _broken(read_model, newest):
        older = await _older(read_model, row.database_id, row.taken_at)
        if older is None:
            del found[row.database_id]
        else:
            found[row.database_id] = older
    return found


def _candidate() -> ColumnElement[bool]:
    """What it builds on is another question. A copy alone does not count: see above."""
    wanted = backups.c.delete_requested_at.is_(None)
    return and_(is_whole(), wanted, backups.c.taken_at.is_not(None))


async def _newest(read_model: ReadModel) -> Sequence[Row[Any]]:
    one = (
        select(*_COLUMNS)
        .where(backups.c.database_id == databases.c.id, _candidate())
        .order_by(backups.c.taken_at.desc())
        .limit(1)
        .lateral()
    )
    return await read_model.rows(select(one).select_from(databases.join(one, true())))


async def _broken(read_model: ReadModel, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Those that build on something that is gone or damaged. Of whole chains nothing is read."""
    chained = {row.chain_id for row in rows if row.parent_id is not None}
    if not chained:
        return []
    query = select(backups.c.chain_id).where(among(backups.c.chain_id, chained), not_(is_good()))
    doubtful = {row.chain_id for row in await read_model.rows(query.distinct())}
    doubted = [row for row in rows if row.parent_id is not None and row.chain_id in doubtful]
    known = await restorabilities(read_model, doubted)
    return [row for row in doubted if known[row.id].state is Restorable.BROKEN]


async def _older(read_model: ReadModel, database_id: UUID, before: datetime) -> datetime | None:
    """When the data of the newest one before that was taken that is not broken."""
    async for rows in _pages(read_model, database_id, before):
        broken = {row.id for row in await _broken(read_model, rows)}
        whole: list[datetime] = [row.taken_at for row in rows if row.id not in broken]
        if whole:
            return whole[0]
    return None


async def _pages(
    read_model: ReadModel, database_id: UUID, before: datetime
) -> AsyncIterator[Sequence[Row[Any]]]:
    query = (
        select(*_COLUMNS)
        .where(backups.c.database_id == database_id, _candidate())
        .order_by(backups.c.taken_at.desc())
        .limit(_AT_ONCE)
    )
    while rows := await read_model.rows(query.where(backups.c.taken_at < before)):
        yield rows
        before = rows[-1].taken_at
