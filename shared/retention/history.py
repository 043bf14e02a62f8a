"""What stands of databases' backups in all stores, and the policies that apply, from Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, tzinfo
from functools import cache
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from shared.messages.settings import PolicySetting
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import BackupType, Hold, HoldKind
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import (
    archives,
    backups,
    databases,
    restores,
    retention_policies,
    schedules,
)
from shared.retention.holds import held_until
from shared.retention.policy import FOR_EVER, Candidate
from shared.retention.rules import Rules

RULES = tuple(name for name in Rules.__struct_fields__ if name not in {"id", "name"})

_HOLDS = func.nullif(backups.c.holds, literal([], JSONB), type_=JSONB).label("holds")
"""Nearly none has any, and JSON is slow to read."""

Histories: TypeAlias = dict[UUID, list[Candidate]]
"""Database -> the copies of its backups that stand, in any order."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule: its time zone, and the policy it names for each of its stores."""

    zone: tzinfo
    policies: dict[str, str | None]


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """Which rules apply where.

    A backup in a store has the policy that its schedule names for that store; else, also when the
    schedule is gone, that of its database. A policy that does not exist keeps everything.
    """

    policies: dict[str, Rules]
    schedules: dict[str, Planned]
    databases: dict[UUID, str | None]

    def rules(self, database_id: UUID, schedule_id: str | None, store_id: str) -> Rules | None:
        planned = self.schedules.get(schedule_id or "")
        named = planned.policies.get(store_id) if planned else None
        return self.policies.get(named or self.databases.get(database_id) or "")

    def zone(self, schedule_id: str | None) -> tzinfo:
        planned = self.schedules.get(schedule_id or "")
        return planned.zone if planned else UTC


def rules_of(policy: Row[Any] | PolicySetting, key: str) -> Rules:
    """The rules of a row of `retention_policies`, or of a setting."""
    rules = {name: getattr(policy, name) for name in RULES}
    return Rules(id=key, name=policy.name, **rules)


async def plans(read_model: ReadModel, database_ids: Collection[UUID]) -> Plans:
    """Every policy and schedule, and the policies of these databases."""
    policies = await read_model.rows(select(retention_policies))
    planned = await read_model.rows(
        select(schedules.c.id, schedules.c.time_zone, schedules.c.targets)
    )
    of = await read_model.rows(
        select(databases.c.id, databases.c.policy_id).where(databases.c.id.in_(database_ids))
    )
    return Plans(
        policies={row.id: rules_of(row, row.id) for row in policies},
        schedules={row.id: _planned(row) for row in planned},
        databases={row.id: row.policy_id for row in of},
    )


async def histories(
    read_model: ReadModel, database_ids: Collection[UUID], *, leaving: bool = False
) -> Histories:
    """What stands of these databases; each has an entry, if only an empty one. With `leaving`, also
    what was said to have expired and can come back."""
    applying = await plans(read_model, database_ids)
    in_use = await _in_use(read_model, database_ids)
    found: Histories = {database_id: [] for database_id in database_ids}
    for query in (_own(database_ids, leaving), _further(database_ids, leaving)):
        async for rows in read_model.portions(query):
            # A million rows take seconds of computing: not on the event loop.
            await asyncio.to_thread(_add, found, rows, applying, in_use)
    return found


async def _in_use(read_model: ReadModel, database_ids: Collection[UUID]) -> set[UUID]:
    """Backups that are read at this moment: by a restore, or by an increment that builds on them.

    Which ones those are, only its worker knows, so all of the database count.
    """
    open_ = ("requested", "running")
    reading = await read_model.rows(
        select(restores.c.backup_id).where(restores.c.status.in_(open_))
    )
    building = select(backups.c.database_id).where(
        backups.c.status.in_(open_),
        backups.c.type != BackupType.FULL,
        backups.c.database_id.in_(database_ids),
    )
    built_on = select(backups.c.id).where(
        backups.c.status == "completed", backups.c.database_id.in_(building)
    )
    return {row[0] for row in (*reading, *await read_model.rows(built_on))}


async def sizes(read_model: ReadModel) -> list[tuple[UUID, int]]:
    """Every database that has backups, and how many stand in their own store."""
    query = (
        select(backups.c.database_id, func.count().label("standing"))
        .where(backups.c.status.in_(("completed", "expired", "deleted")))
        .group_by(backups.c.database_id)
        .order_by(backups.c.database_id)
    )
    return [(row.database_id, int(row.standing)) for row in await read_model.rows(query)]


def under_policy(policy_id: str) -> Select[Any]:
    """The ids of the databases that the policy may apply to: by their choice, or a schedule's."""
    named = select(schedules.c.id).where(schedules.c.targets.contains([{"policy_id": policy_id}]))
    scheduled = select(backups.c.database_id).where(backups.c.schedule_id.in_(named))
    chosen = databases.c.policy_id == policy_id
    return select(databases.c.id).where(chosen | databases.c.id.in_(scheduled))


def _own(database_ids: Collection[UUID], leaving: bool) -> Select[Any]:
    stands = backups.c.status == "completed"
    return select(
        backups.c.id.label("backup_id"),
        backups.c.database_id,
        backups.c.parent_id,
        func.coalesce(backups.c.first_store_id, backups.c.store_id).label("store_id"),
        backups.c.taken_at,
        backups.c.completed_at,
        backups.c.proof,
        backups.c.schedule_id,
        (~stands).label("leaving"),
        _HOLDS,
    ).where(
        or_(stands, is_leaving(backups)) if leaving else stands,
        backups.c.database_id.in_(database_ids),
    )


def is_leaving(table: Table) -> ColumnElement[bool]:
    """The condition for what a policy let expire and whose deletion has not begun."""
    return and_(
        table.c.status == "expired",
        table.c.delete_after.is_not(None),
        table.c.deletion_begun_at.is_(None),
    )


def _further(database_ids: Collection[UUID], leaving: bool) -> Select[Any]:
    """Copies in further stores, also where the first one is gone; not of what is to be deleted."""
    stands = archives.c.status == "stored"
    return (
        select(
            archives.c.backup_id,
            archives.c.id.label("archive_id"),
            archives.c.store_id,
            archives.c.proof,
            backups.c.database_id,
            backups.c.parent_id,
            backups.c.taken_at,
            backups.c.completed_at,
            backups.c.schedule_id,
            (~stands).label("leaving"),
            _HOLDS,
        )
        .join(backups, backups.c.id == archives.c.backup_id)
        .where(
            or_(stands, is_leaving(archives)) if leaving else stands,
            backups.c.status.in_(("completed", "expired", "deleted")),
            backups.c.delete_requested_at.is_(None),
            backups.c.database_id.in_(database_ids),
        )
    )


def _add(
    found: Histories, rows: Iterable[Row[Any]], applying: Plans, in_use: Collection[UUID]
) -> None:
    for row in rows:
        found[row.database_id].append(_candidate(row, applying, row.backup_id in in_use))


def _candidate(row: Row[Any], applying: Plans, in_use: bool) -> Candidate:
    holds = _holds(row.holds)
    return Candidate(
        backup_id=row.backup_id,
        archive_id=getattr(row, "archive_id", None),
        store_id=row.store_id,
        taken_at=row.taken_at or row.completed_at,
        rules=applying.rules(row.database_id, row.schedule_id, row.store_id),
        zone=applying.zone(row.schedule_id),
        schedule_id=row.schedule_id,
        verified=row.proof == "verified",
        corrupt=row.proof == "corrupt",
        in_use=in_use,
        parent_id=row.parent_id,
        held_until=held_until(holds, HoldKind.HOLD, FOR_EVER),
        legal_until=held_until(holds, HoldKind.LEGAL, FOR_EVER),
        leaving=row.leaving,
    )


def _holds(stored: Sequence[Any] | None) -> list[Hold]:
    return msgspec.convert(stored, list[Hold]) if stored else []


def _planned(row: Row[Any]) -> Planned:
    targets = msgspec.convert(row.targets, list[ScheduleTarget])
    return Planned(
        zone=zone_of(row.time_zone),
        policies={target.store_id: target.policy_id for target in targets},
    )


@cache
def zone_of(name: str) -> tzinfo:
    """The time zone; UTC where this machine does not know it any more."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
