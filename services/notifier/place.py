"""Which server, database and store a fact is about, as the read model knows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select

from shared.messages.base import Fact
from shared.messages.values import DatabaseRef
from shared.notices.about import About
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import backups, databases, restores, runs, servers, stores


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """The ids behind a fact."""

    server_id: UUID | None = None
    database_id: UUID | None = None
    database: str = ""
    store_id: str = ""


async def place_of(read_model: ReadModel, fact: Fact) -> About:
    """What `fact` is about."""
    ids = await _ids(read_model, fact)
    server = await _one(read_model, servers, str(ids.server_id)) if ids.server_id else None
    database = await _one(read_model, databases, ids.database_id) if ids.database_id else None
    store_id = getattr(fact, "store_id", None) or ids.store_id
    store = await _one(read_model, stores, str(store_id)) if store_id else None
    return About(
        server_id=str(ids.server_id or ""),
        server=server.name if server else "",
        environment=server.environment if server else "",
        group_ids=server.group_ids if server else [],
        database_id=str(ids.database_id or ""),
        database=ids.database,
        tags=database.tags if database else [],
        store=store.name if store else "",
    )


async def _ids(read_model: ReadModel, fact: Fact) -> Ids:
    named = getattr(fact, "database", None) or getattr(fact, "target", None)
    if isinstance(named, DatabaseRef):
        return _of(named)
    for field, look in _LOOKING.items():
        if (key := getattr(fact, field, None)) is not None:
            return await look(read_model, key)
    return Ids()


async def _of_backup(read_model: ReadModel, backup_id: UUID) -> Ids:
    row = await _one(read_model, backups, backup_id)
    if row is None:
        return Ids()
    return Ids(
        server_id=row.server_id,
        database_id=row.database_id,
        database=row.database_name,
        store_id=row.store_id,
    )


async def _of_restore(read_model: ReadModel, restore_id: UUID) -> Ids:
    row = await _one(read_model, restores, restore_id)
    if row is None:
        return Ids()
    target = DatabaseRef(
        server_id=row.target_server_id, endpoint=row.target_endpoint, name=row.target_name
    )
    return _of(target)


async def _of_server(_read_model: ReadModel, server_id: UUID) -> Ids:
    return Ids(server_id=server_id)


async def _of_database(read_model: ReadModel, database_id: UUID) -> Ids:
    row = await _one(read_model, databases, database_id)
    if row is None:
        return Ids()
    return Ids(server_id=row.server_id, database_id=row.id, database=row.name)


async def _of_run(read_model: ReadModel, run_id: UUID) -> Ids:
    row = await _one(read_model, runs, run_id)
    return Ids(server_id=row.server_id) if row else Ids()


_LOOKING: dict[str, Callable[[ReadModel, UUID], Awaitable[Ids]]] = {
    "backup_id": _of_backup,
    "restore_id": _of_restore,
    "database_id": _of_database,
    "server_id": _of_server,
    "run_id": _of_run,
}
"""Field of a fact -> where it leads, the most telling first."""


def _of(database: DatabaseRef) -> Ids:
    return Ids(server_id=database.server_id, database_id=database.id, database=database.name)


async def _one(read_model: ReadModel, table: Any, key: Any) -> Any:
    return await read_model.one(select(table).where(table.c.id == key))
