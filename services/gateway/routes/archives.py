"""Archives of one backup: where it stands, copies of it, and reading it again."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import Row, func, select

from services.gateway import configured
from services.gateway.appending import land
from services.gateway.dependencies import Dependencies
from services.gateway.errors import NoRoomError, NotRestorableError
from services.gateway.injection import Deps, Who
from services.gateway.once import Answer, answer, first_id, once
from services.gateway.references import refuse_unknown_store
from services.gateway.representations import Accepted, Input, Label, convert
from services.gateway.rights import Right
from services.gateway.routes.backups import BACKUP
from services.gateway.routes.store_usage import held_in
from shared.bus import Draft, Expect, WrongSequenceError
from shared.errors import ConflictError
from shared.messages.facts import (
    ArchiveDeleted,
    ArchiveFailed,
    ArchiveRequested,
    BackupVerifyRequested,
)
from shared.messages.facts.archives import archive_id
from shared.messages.values import Problem
from shared.readmodel.awaited import awaited_copies
from shared.readmodel.standing import is_good
from shared.readmodel.tables import archives, backups, stores
from shared.retention.deletion import copy_left


class NewArchive(Input, frozen=True, kw_only=True):
    """In which further store the backup is to stand."""

    store_id: Label


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """A backup in one store. `first`: the store that the dump was written to.

    What expired, or is to be deleted, stands until `delete_after`, and can come back until then.
    """

    store_id: str
    first: bool
    status: str
    proof: str
    stored_bytes: int | None = None
    problem: Problem | None = None
    stored_at: datetime | None = None
    verified_at: datetime | None = None
    locked_until: datetime | None = None
    delete_after: datetime | None = None


class Archives(msgspec.Struct, frozen=True, kw_only=True):
    """Every store that a backup stands in, or stood in."""

    items: list[Archive]


@get(
    "/backups/{backup_id:uuid}/archives",
    opt={"right": Right.BACKUPS_READ},
    tags=["backups"],
    operation_id="list_archives",
)
async def list_archives(backup_id: FromPath[UUID], deps: Deps, caller: Who) -> Archives:
    """List the stores that the backup stands in: its own first, then its copies."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_READ, BACKUP, backup_id)
    query = select(archives).where(archives.c.backup_id == backup_id)
    copies = await deps.read_model.rows(query.order_by(archives.c.requested_at))
    return Archives(items=[_own(row), *(convert(copy, Archive, first=False) for copy in copies)])


def _own(backup: Row[Any]) -> Archive:
    return convert(backup, Archive, first=True, stored_at=backup.completed_at)


@post(
    "/backups/{backup_id:uuid}/archives",
    opt={"right": Right.BACKUPS_CREATE},
    tags=["backups"],
    operation_id="copy_backup",
    status_code=202,
)
async def copy_backup(
    backup_id: FromPath[UUID], data: JSONBody[NewArchive], deps: Deps, caller: Who
) -> Response[Accepted]:
    """Copy a completed backup into a further store; what failed or was deleted is tried anew."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_CREATE, BACKUP, backup_id)
    await refuse_unknown_store(deps, data.store_id)
    if not await _is_good(deps, row):
        raise NotRestorableError(f"no good archive of the backup stands; it is {row.status}")
    if row.store_id == data.store_id:
        raise ConflictError("this is the backup's own store")
    about = archive_id(backup_id, data.store_id)
    subject = f"evt.archive.*.core.{about}"
    said = await deps.bus.last_of(subject)
    last = max(said, key=lambda one: one.seq) if said else None
    if last is None or isinstance(last.message, ArchiveFailed | ArchiveDeleted):
        await _refuse_without_room(deps, data.store_id, row.stored_bytes or 0)
        asked = ArchiveRequested(
            archive_id=about,
            backup_id=backup_id,
            store_id=data.store_id,
            actor=caller.actor,
            request_id=caller.request_id,
        )
        try:
            await land(deps, Draft(asked, Expect(last.seq if last else 0, subject)))
        except WrongSequenceError as error:
            raise ConflictError("something was said of this copy meanwhile") from error
    elif copy_left([(one.seq, one.message) for one in said]):
        fix = "lay a hold on the backup, change the policy, or wait until it is gone"
        raise ConflictError("a copy stands there that is to go", fix=fix)
    location = f"/api/v1/backups/{backup_id}/archives"
    accepted = Accepted(id=str(about), href=location)
    return Response(accepted, status_code=202, headers={"Location": location})


@post(
    "/backups/{backup_id:uuid}/verify",
    opt={"right": Right.BACKUPS_VERIFY},
    tags=["backups"],
    operation_id="verify_backup",
    status_code=202,
)
async def verify_backup(
    backup_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Accepted]:
    """Read every object of the archive in the backup's own store again, and compare; `Location` is
    the run. Copies are read again by the scrub of their store, and by a deep verification."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_VERIFY, BACKUP, backup_id)
    if row.status != "completed":
        copied = await _is_good(deps, row)
        fix = "verify it deeply: that reads the copy in a further store" if copied else None
        raise NotRestorableError(f"the backup is {row.status} in its own store", fix=fix)

    async def create(run_id: UUID) -> Answer:
        asked = BackupVerifyRequested(
            id=first_id(run_id),
            backup_id=backup_id,
            server_id=row.server_id,
            run_id=run_id,
            actor=caller.actor,
            request_id=caller.request_id,
        )
        await land(deps, Draft(asked))
        location = f"/api/v1/runs/{run_id}"
        return answer(202, Accepted(id=str(run_id), href=location), location)

    return await once(request, deps, caller, create)


async def _is_good(deps: Dependencies, row: Row[Any]) -> bool:
    query = select(backups.c.id).where(backups.c.id == row.id, is_good())
    return await deps.read_model.one(query) is not None


async def _refuse_without_room(deps: Dependencies, store_id: str, wanted_bytes: int) -> None:
    """Raise NoRoomError where the copy, with those that are on their way, exceeds the quota."""
    store = await deps.read_model.one(select(stores.c.quota_bytes).where(stores.c.id == store_id))
    if store is None or store.quota_bytes is None:
        return
    awaited = awaited_copies()
    coming = select(func.coalesce(func.sum(awaited.c.stored_bytes), 0)).where(
        awaited.c.store_id == store_id
    )
    held = held_in(store_id)
    stands = select(func.coalesce(func.sum(held.c.stored_bytes), 0)).select_from(held)
    row = await deps.read_model.one(
        select((stands.scalar_subquery() + coming.scalar_subquery()).label("taken"))
    )
    taken = int(row.taken) if row else 0
    if taken + wanted_bytes > store.quota_bytes:
        raise NoRoomError(
            f"the store holds or awaits {taken} of {store.quota_bytes} bytes,"
            f" and the copy needs {wanted_bytes}"
        )


ROUTES = [
    list_archives,
    copy_backup,
    verify_backup,
]
