"""Holds: a backup that lies under one neither expires nor is deleted, in any store."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from sqlalchemy import Row, or_, select

from services.gateway import configured
from services.gateway.backup_facts import Facts, land_on
from services.gateway.dependencies import Dependencies
from services.gateway.errors import (
    InputFault,
    InvalidFieldsError,
    NotHeldError,
    NotHoldableError,
    StillRunningError,
)
from services.gateway.injection import Deps, Who
from services.gateway.representations import Input
from services.gateway.rights import Right
from services.gateway.routes.backups import BACKUP, Backup
from shared.messages.facts import (
    BackupDeleteRequested,
    BackupHeld,
    BackupReleased,
)
from shared.messages.values import Hold, HoldKind
from shared.readmodel.tables import archives
from shared.retention.deletion import is_begun
from shared.retention.history import is_leaving
from shared.retention.holds import holds_in, with_hold, without_hold

Why = Annotated[str, Meta(min_length=1, max_length=500, description="Stays in the audit log")]
Until = Annotated[datetime, Meta(tz=True, description="By default until somebody releases it")]
RIGHT = {HoldKind.HOLD: Right.BACKUPS_HOLD, HoldKind.LEGAL: Right.BACKUPS_LEGAL_HOLD}


class NewHold(Input, frozen=True, kw_only=True):
    """A hold to lay on a backup; it replaces the one of its kind."""

    kind: HoldKind = HoldKind.HOLD
    reason: Why
    until: Until | None = None


class Release(Input, frozen=True, kw_only=True):
    """Which hold to lift, and why."""

    kind: HoldKind = HoldKind.HOLD
    reason: Why


@post(
    "/backups/{backup_id:uuid}/hold",
    opt={"right": Right.BACKUPS_HOLD},
    tags=["backups"],
    operation_id="hold_backup",
    status_code=200,
)
async def hold_backup(
    backup_id: FromPath[UUID], data: JSONBody[NewHold], deps: Deps, caller: Who
) -> Response[Backup]:
    """Keep a backup whatever its policies say; nobody can delete it until the hold is over.

    A legal hold needs the right backups.legal_hold.
    """
    row = await configured.admitted(deps, caller, RIGHT[data.kind], BACKUP, backup_id)
    at = deps.clock()
    if data.until is not None and data.until <= at:
        raise InvalidFieldsError("the hold is over already", [InputFault("/until", "in the past")])
    stands = await _stands(deps, row)
    hold = Hold(kind=data.kind, reason=data.reason, until=data.until, actor=caller.actor, at=at)

    def decide(facts: Facts) -> BackupHeld:
        if any(isinstance(one, BackupDeleteRequested) for _, one in facts):
            raise NotHoldableError("somebody asked to delete the backup")
        if not stands and is_begun(facts):
            raise NotHoldableError("the deletion of the backup has begun")
        return BackupHeld(
            backup_id=backup_id,
            kind=hold.kind,
            reason=hold.reason,
            until=hold.until,
            holds=with_hold(holds_in(facts), hold),
            actor=caller.actor,
            request_id=caller.request_id,
        )

    landed = await land_on(deps, backup_id, decide)
    assert landed is not None  # decide always says something, or raises
    return await configured.changed(deps, landed, BACKUP, backup_id)


@post(
    "/backups/{backup_id:uuid}/release",
    opt={"right": Right.BACKUPS_HOLD},
    tags=["backups"],
    operation_id="release_backup",
    status_code=200,
)
async def release_backup(
    backup_id: FromPath[UUID], data: JSONBody[Release], deps: Deps, caller: Who
) -> Response[Backup]:
    """Lift a hold: the policies apply again. A legal one needs the right backups.legal_hold."""
    await configured.admitted(deps, caller, RIGHT[data.kind], BACKUP, backup_id)

    def decide(facts: Facts) -> BackupReleased:
        holds = holds_in(facts)
        left = without_hold(holds, data.kind)
        if left == holds:
            raise NotHeldError(f"no hold of the kind {data.kind.value} lies on the backup")
        return BackupReleased(
            backup_id=backup_id,
            kind=data.kind,
            reason=data.reason,
            holds=left,
            actor=caller.actor,
            request_id=caller.request_id,
        )

    landed = await land_on(deps, backup_id, decide)
    assert landed is not None  # decide always says something, or raises
    return await configured.changed(deps, landed, BACKUP, backup_id)


async def _stands(deps: Dependencies, row: Row[Any]) -> bool:
    """Whether the backup stands, in its first store or a further one; False for one that expired
    and whose objects may still be there. Raises for any other."""
    if row.status in {"requested", "running"}:
        # Nothing may be said of it beside its run: that is how the scheduler knows that it can
        # still end a run that no worker began.
        raise StillRunningError("the backup is not finished")
    if row.status == "completed":
        return True
    standing = select(archives.c.id).where(
        archives.c.backup_id == row.id,
        or_(archives.c.status == "stored", is_leaving(archives)),
    )
    if row.status != "deleting" and await deps.read_model.one(standing.limit(1)) is not None:
        return True
    if row.status != "expired":
        raise NotHoldableError(f"the backup is {row.status}")
    return False


ROUTES = [hold_backup, release_backup]
