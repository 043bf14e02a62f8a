"""Which archives of a store are old enough to move to the store of the next tier."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import Row, and_, func, select

from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import archives, backups, stores

AGAIN_AFTER = timedelta(hours=24)
"""How long a copy that failed is not asked for again."""
AT_ONCE = 500


class Moving(msgspec.Struct, frozen=True, kw_only=True):
    """A completed backup in a store with an age rule, and its copy in the next one, if any."""

    backup_id: UUID
    to_store_id: str
    since: datetime
    verified: bool
    held: bool
    stored_bytes: int = 0
    copy_status: str | None = None
    copy_corrupt: bool = False
    copy_requested_at: datetime | None = None
    locked_until: datetime | None = None


class Step(Enum):
    """What is to be done for a backup now."""

    ASK = "ask for the copy"
    MOVE = "let the copy be the backup's archive"


class Tiers(Protocol):
    """Where moves are found."""

    async def chains(self, store_id: str, at: datetime) -> Sequence[Sequence[Moving]]:
        """The chains in the store of which every member is old enough by its rule; none without
        a rule."""


def steps(chain: Sequence[Moving], at: datetime) -> list[tuple[Step, Moving]]:
    """What to do for a chain: every copy is there, and good, before any member moves.

    Only what is verified moves, and nothing on which a hold lies.
    """
    if not all(one.verified and not one.held for one in chain):
        return []
    if asking := [one for one in chain if _is_to_ask(one, at)]:
        return [(Step.ASK, one) for one in asking]
    if all(one.copy_status == "stored" and not one.copy_corrupt for one in chain):
        return [(Step.MOVE, one) for one in chain]
    return []


def _is_to_ask(one: Moving, at: datetime) -> bool:
    if one.copy_status in {None, "deleted"}:
        return True
    asked = one.copy_requested_at
    return one.copy_status == "failed" and asked is not None and at - asked >= AGAIN_AFTER


class ReadModelTiers:
    """Moves from Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def chains(self, store_id: str, at: datetime) -> Sequence[Sequence[Moving]]:
        rule = await self._read_model.one(
            select(stores.c.move_after_days, stores.c.move_to_store_id).where(
                stores.c.id == store_id
            )
        )
        if rule is None or rule.move_after_days is None or rule.move_to_store_id is None:
            return []
        there = and_(
            archives.c.backup_id == backups.c.id, archives.c.store_id == rule.move_to_store_id
        )
        old = at - timedelta(days=rule.move_after_days)
        # A chain is as old as its newest member.
        due = (
            select(backups.c.chain_id)
            .where(backups.c.store_id == store_id, backups.c.status == "completed")
            .group_by(backups.c.chain_id)
            .having(func.max(backups.c.completed_at) <= old)
            .order_by(func.max(backups.c.completed_at), backups.c.chain_id)
            .limit(AT_ONCE)
        )
        query = (
            select(
                backups.c.id,
                backups.c.chain_id,
                backups.c.completed_at,
                backups.c.proof,
                backups.c.holds,
                backups.c.stored_bytes,
                backups.c.locked_until,
                archives.c.status.label("copy_status"),
                archives.c.proof.label("copy_proof"),
                archives.c.requested_at.label("copy_requested_at"),
            )
            .outerjoin(archives, there)
            .where(
                backups.c.store_id == store_id,
                backups.c.status == "completed",
                backups.c.chain_id.in_(due),
            )
            .order_by(backups.c.completed_at, backups.c.id)
        )
        chains: dict[UUID, list[Moving]] = {}
        for row in await self._read_model.rows(query):
            chains.setdefault(row.chain_id, []).append(_moving(row, rule.move_to_store_id))
        return [*chains.values()]


def _moving(row: Row[Any], to_store_id: str) -> Moving:
    return Moving(
        backup_id=row.id,
        to_store_id=to_store_id,
        since=row.completed_at,
        verified=row.proof == "verified",
        held=bool(row.holds),
        stored_bytes=row.stored_bytes or 0,
        copy_status=row.copy_status,
        copy_corrupt=row.copy_proof == "corrupt",
        copy_requested_at=row.copy_requested_at,
        locked_until=row.locked_until,
    )
