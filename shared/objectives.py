"""Whether databases are backed up as often as they have to be: a judgement, and what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, Text, cast, select

from shared.last_good import last_good
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import databases, objectives, servers

AT_RISK = 0.8
"""The share of the allowed time after which an objective is in danger."""


class Standing(StrEnum):
    """How a database stands to its objective."""

    MET = "met"
    AT_RISK = "at_risk"
    MISSED = "missed"


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """An objective, as it is judged by."""

    id: str
    name: str
    rpo_s: int
    database_ids: frozenset[str] = frozenset()
    group_ids: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    since: datetime

    def covers(self, database: Protected) -> bool:
        """Whether the database is under this objective."""
        if not (self.database_ids or self.group_ids or self.tags):
            return True
        return (
            str(database.id) in self.database_ids
            or not self.group_ids.isdisjoint(database.group_ids)
            or not self.tags.isdisjoint(database.tags)
        )


class Protected(msgspec.Struct, frozen=True, kw_only=True):
    """A database, and when the data of its last good backup was taken."""

    id: UUID
    server_id: UUID
    name: str
    server: str = ""
    group_ids: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    good_at: datetime | None = None
    seen_at: datetime | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A database under an objective; `burn` is the share of the allowed time that is over."""

    database: Protected
    objective: Objective
    standing: Standing
    burn: float


def judged(known: Iterable[Protected], wanted: Sequence[Objective], now: datetime) -> list[Judged]:
    """Every database that is under an objective, by the strictest one; the worst comes first.

    A database without a backup has had time since it was first seen and the objective was set.
    """
    strictest = sorted(wanted, key=lambda one: (one.rpo_s, one.id))
    found = []
    for database in known:
        objective = next((one for one in strictest if one.covers(database)), None)
        if objective is not None:
            found.append(_judged(database, objective, now))
    return sorted(found, key=lambda one: (-one.burn, str(one.database.id)))


def _judged(database: Protected, objective: Objective, now: datetime) -> Judged:
    since = database.good_at or max(objective.since, database.seen_at or objective.since)
    burn = max(0.0, (now - since).total_seconds() / objective.rpo_s)
    standing = (
        Standing.MISSED if burn > 1 else Standing.AT_RISK if burn >= AT_RISK else Standing.MET
    )
    return Judged(database=database, objective=objective, standing=standing, burn=burn)


async def objectives_of(read_model: ReadModel) -> list[Objective]:
    """Every objective there is; raises UnavailableError."""
    return [_objective(row) for row in await read_model.rows(select(objectives))]


async def databases_of(read_model: ReadModel) -> list[Protected]:
    """Every known database; raises UnavailableError."""
    good = await last_good(read_model)
    query = select(databases, servers.c.name.label("server"), servers.c.group_ids).outerjoin(
        servers, servers.c.id == cast(databases.c.server_id, Text)
    )
    return [_protected(row, good.get(row.id)) for row in await read_model.rows(query)]


def _objective(row: Row[Any]) -> Objective:
    return Objective(
        id=row.id,
        name=row.name,
        rpo_s=row.rpo_s,
        database_ids=frozenset(row.database_ids),
        group_ids=frozenset(row.group_ids),
        tags=frozenset(row.tags),
        since=row.created_at,
    )


def _protected(row: Row[Any], good_at: datetime | None) -> Protected:
    return Protected(
        id=row.id,
        server_id=row.server_id,
        name=row.name,
        server=row.server or "",
        group_ids=frozenset(row.group_ids or ()),
        tags=frozenset(row.tags),
        good_at=good_at,
        seen_at=row.seen_at,
    )
