"""Whether a backup can be restored, as far as is known: it and everything that it builds on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, select

from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import archives, backups


class Restorable(StrEnum):
    """Proven: every archive of it was read back and found whole. Unproven: nothing is known to be
    wrong. Broken: an archive that it needs is gone or damaged."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    BROKEN = "broken"


class Restorability(msgspec.Struct, frozen=True, kw_only=True):
    """The state, and in a sentence why it is not proven."""

    state: Restorable
    reason: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was completed once. `copies`: the proofs of its copies in further stores."""

    id: UUID
    parent_id: UUID | None
    status: str
    proof: str
    wanted_gone: bool = False
    copies: Sequence[str] = ()

    @property
    def proofs(self) -> list[str]:
        """What is known of each of its archives that a restore may read."""
        own = [self.proof] if self.status == "completed" else []
        return own + ([] if self.wanted_gone else [*self.copies])


def restorability(backup: Standing, others: Mapping[UUID, Standing]) -> Restorability:
    """Decide; `others` are the backups of its chain, by id."""
    unproven = ""
    at: Standing | None = backup
    for _ in range(len(others) + 1):
        assert at is not None
        who = "it" if at is backup else f"backup {at.id}, which it builds on,"
        proofs = at.proofs
        if not proofs:
            return Restorability(state=Restorable.BROKEN, reason=f"{who} is {at.status}")
        if set(proofs) == {"corrupt"}:
            return Restorability(state=Restorable.BROKEN, reason=f"{who} was found corrupt")
        if "verified" not in proofs:
            unproven = unproven or f"{who} was not read back yet"
        if at.parent_id is None:
            state = Restorable.UNPROVEN if unproven else Restorable.PROVEN
            return Restorability(state=state, reason=unproven)
        at = others.get(at.parent_id)
        if at is None:
            return Restorability(state=Restorable.BROKEN, reason="a backup it builds on is gone")
    return Restorability(state=Restorable.BROKEN, reason="its chain leads nowhere")


class Chained(Protocol):
    """What a row of `backups` says of its chain."""

    @property
    def id(self) -> UUID: ...
    @property
    def parent_id(self) -> UUID | None: ...
    @property
    def chain_id(self) -> UUID | None: ...


async def restorabilities(
    read_model: ReadModel, rows: Sequence[Chained] | Sequence[Row[Any]]
) -> dict[UUID, Restorability]:
    """Of rows of `backups`; of those that were never completed there is nothing to say."""
    ended = [row for row in rows if row.chain_id is not None]
    if not ended:
        return {}
    chained = {row.chain_id for row in ended if row.parent_id is not None}
    columns = (backups.c.id, backups.c.parent_id, backups.c.status, backups.c.proof)
    wished = backups.c.delete_requested_at.is_not(None).label("wanted_gone")
    proofs = (
        select(func.array_agg(archives.c.proof))
        .where(archives.c.backup_id == backups.c.id, archives.c.status == "stored")
        .scalar_subquery()
        .label("copies")
    )
    ids = backups.c.id.in_([row.id for row in ended])
    which = ids | backups.c.chain_id.in_(chained) if chained else ids
    found: dict[UUID, Standing] = {}
    for row in await read_model.rows(select(*columns, wished, proofs).where(which)):
        found[row.id] = Standing(
            id=row.id,
            parent_id=row.parent_id,
            status=row.status,
            proof=row.proof,
            wanted_gone=row.wanted_gone,
            copies=row.copies or (),
        )
    return {row.id: restorability(found[row.id], found) for row in ended if row.id in found}
