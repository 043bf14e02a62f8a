"""The backups that policies judge, as the read model knows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, Select, select, true

from services.retention.policy import Candidate
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import backups, databases, retention_policies


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Which databases to judge: that of a backup, one, those of a policy; without any, all."""

    backup_id: UUID | None = None
    database_id: UUID | None = None
    policy_id: str | None = None


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What stands of one database in one store, and what its policy says."""

    policy: str
    keep_last: int
    candidates: list[Candidate]


class History(Protocol):
    """Where retention looks before it decides."""

    async def at_least(self, seq: int) -> None:
        """Wait until the event `seq` is part of the answers; raises NotProjectedError."""

    async def shelves(self, scope: Scope) -> list[Shelf]:
        """The shelves of the databases that have a policy; without one, all is kept."""


class ReadModelHistory:
    """History from Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def at_least(self, seq: int) -> None:
        await self._read_model.at_least(seq)

    async def shelves(self, scope: Scope) -> list[Shelf]:
        return _shelves(await self._read_model.rows(_query(scope)))


def _query(scope: Scope) -> Select[Any]:
    return (
        select(
            backups.c.id,
            backups.c.database_id,
            backups.c.store_id,
            backups.c.completed_at,
            backups.c.proof,
            retention_policies.c.name,
            retention_policies.c.keep_last,
        )
        .join(databases, databases.c.id == backups.c.database_id)
        .join(retention_policies, retention_policies.c.id == databases.c.policy_id)
        .where(backups.c.status == "completed", *_conditions(scope))
    )


def _conditions(scope: Scope) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.backup_id is not None:
        own = select(backups.c.database_id).where(backups.c.id == scope.backup_id)
        conditions.append(backups.c.database_id == own.scalar_subquery())
    if scope.database_id is not None:
        conditions.append(backups.c.database_id == scope.database_id)
    if scope.policy_id is not None:
        conditions.append(databases.c.policy_id == scope.policy_id)
    return conditions


def _shelves(rows: Sequence[Row[Any]]) -> list[Shelf]:
    grouped: dict[tuple[UUID, str], list[Row[Any]]] = defaultdict(list)
    for row in rows:
        grouped[row.database_id, row.store_id].append(row)
    return [
        Shelf(
            policy=group[0].name,
            keep_last=group[0].keep_last,
            candidates=[_candidate(row) for row in group],
        )
        for group in grouped.values()
    ]


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(
        id=row.id,
        completed_at=row.completed_at,
        verified=row.proof == "verified",
        corrupt=row.proof == "corrupt",
    )
