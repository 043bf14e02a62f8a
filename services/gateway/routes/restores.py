"""Restores: a backup into a new database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.appending import land, seen
from services.gateway.callers import Caller
from services.gateway.configured import Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import KeyReusedError, NotRestorableError
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByTime, Cursor, Limit, Window, listed
from services.gateway.once import Answer, answer, first_id, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.references import Reference, pool_of
from services.gateway.representations import Input, Label, Text, convert
from services.gateway.rights import Right
from services.gateway.routes.backups import BACKUP
from services.gateway.scope import visible
from shared.bus import Draft, Expect, WrongSequenceError
from shared.messages.base import consequence
from shared.messages.facts import RestoreRequested
from shared.messages.values import CheckResult, Problem, TableContent
from shared.readmodel.tables import archives, restores


class NewRestore(Input, frozen=True, kw_only=True):
    """Where to restore to: the database must not exist yet. `reason` stays in the audit log.

    `store_id`: from which of its stores; by default its own, or one with a good copy.
    """

    target: Reference
    reason: Text = ""
    store_id: Label | None = None


class Restore(msgspec.Struct, frozen=True, kw_only=True):
    """One restore; `tables` is what was counted in the target afterwards. A `test` went into a
    throw-away instance, and was asked `checks`; `schedule_id` and `slot` say for which schedule.
    Of a `deep` one the backup was only read with its keys."""

    id: UUID
    run_id: UUID
    backup_id: UUID
    target_server_id: UUID
    target_endpoint: str
    target_name: str
    status: str
    problem: Problem | None = None
    actor: str
    reason: str
    test: bool = False
    deep: bool = False
    raw_bytes: int | None = None
    tables: list[TableContent] | None = None
    requested_at: datetime
    completed_at: datetime | None = None
    seconds: float | None = None
    checks: list[CheckResult] | None = None
    schedule_id: str | None = None
    slot: datetime | None = None
    version: int


def restore_of(row: Row[Any]) -> Restore:
    """A row as the API shows it."""
    return convert(row, Restore)


RESTORE = Noun("restore", restores, "/restores", restore_of, server="target_server_id")


@post(
    "/backups/{backup_id:uuid}/test-restore",
    opt={"right": Right.BACKUPS_VERIFY},
    tags=["restores"],
    operation_id="test_restore_backup",
    status_code=202,
)
async def test_restore_backup(
    backup_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Restore]:
    """Restore a backup into a throw-away instance on the executor's machine, compare its content,
    and remove it; `Location` leads to the run."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_VERIFY, BACKUP, backup_id)
    target = Reference(server_id=row.server_id, endpoint=row.endpoint, name=row.database_name)
    wish = NewRestore(target=target, reason="test")

    async def create(thing: UUID) -> Answer:
        return await _asked(deps, caller, thing, row, wish, test=True)

    return await once(request, deps, caller, create)


@post(
    "/backups/{backup_id:uuid}/deep-verify",
    opt={"right": Right.BACKUPS_VERIFY},
    tags=["restores"],
    operation_id="deep_verify_backup",
    status_code=202,
)
async def deep_verify_backup(
    backup_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Restore]:
    """Read a backup with its keys as a restore would, compare all of it, and write it nowhere;
    `Location` leads to the run."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_VERIFY, BACKUP, backup_id)
    target = Reference(server_id=row.server_id, endpoint=row.endpoint, name=row.database_name)
    wish = NewRestore(target=target, reason="deep verification")

    async def create(thing: UUID) -> Answer:
        return await _asked(deps, caller, thing, row, wish, deep=True)

    return await once(request, deps, caller, create)


@post(
    "/backups/{backup_id:uuid}/restore",
    opt={"right": Right.BACKUPS_RESTORE},
    tags=["restores"],
    operation_id="restore_backup",
    status_code=202,
)
async def restore_backup(
    backup_id: FromPath[UUID],
    data: JSONBody[NewRestore],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Restore]:
    """Restore a backup into a new database; `Location` leads to the run. It begins once the
    request stands in a signed audit checkpoint."""

    async def create(thing: UUID) -> Answer:
        return await _create(deps, caller, thing, backup_id, data)

    return await once(request, deps, caller, create)


async def _create(
    deps: Dependencies, caller: Caller, thing: UUID, backup_id: UUID, data: NewRestore
) -> Answer:
    row = await configured.admitted(deps, caller, Right.BACKUPS_RESTORE, BACKUP, backup_id)
    return await _asked(deps, caller, thing, row, data)


async def _asked(  # noqa: PLR0913 - what a restore is made of
    deps: Dependencies,
    caller: Caller,
    thing: UUID,
    row: Row[Any],
    data: NewRestore,
    *,
    test: bool = False,
    deep: bool = False,
) -> Answer:
    right = Right.BACKUPS_VERIFY if test or deep else Right.BACKUPS_RESTORE
    await _refuse_unrestorable(deps, row, data.store_id)
    asked = RestoreRequested(
        id=first_id(thing),
        restore_id=thing,
        run_id=consequence(thing, "run"),
        backup_id=row.id,
        test=test,
        deep=deep,
        target=data.target.named(),
        run_pool=await pool_of(deps, caller, right, data.target, at="/target"),
        reason=data.reason,
        store_id=data.store_id,
        actor=caller.actor,
        request_id=caller.request_id,
    )
    try:
        landed = await land(deps, Draft(asked, Expect(0)))
    except WrongSequenceError:
        landed = None
    if landed is None or landed.already:
        asked = await _stored(deps, asked)
    shown = await _shown(deps, asked, seq=landed.seq if landed else 0)
    return answer(202, shown, f"/api/v1/runs/{asked.run_id}")


async def _refuse_unrestorable(deps: Dependencies, backup: Row[Any], store_id: str | None) -> None:
    """Raise unless a good archive stands in the store that is wanted, or in any."""
    own = backup.status == "completed" and backup.proof != "corrupt"
    if own and store_id in {None, backup.store_id}:
        return
    good = select(archives.c.store_id).where(
        archives.c.backup_id == backup.id,
        archives.c.status == "stored",
        archives.c.proof != "corrupt",
    )
    copies = {row.store_id for row in await deps.read_model.rows(good)}
    if backup.delete_requested_at is None and (store_id in copies or (copies and not store_id)):
        return
    if store_id is not None and store_id != backup.store_id:
        raise NotRestorableError("the backup does not stand whole in this store")
    if backup.status != "completed":
        raise NotRestorableError(f"the backup is {backup.status}")
    if backup.proof == "corrupt":
        raise NotRestorableError("the backup's archive is damaged")


async def _stored(deps: Dependencies, asked: RestoreRequested) -> RestoreRequested:
    last = await deps.bus.last_of(asked.subject)
    stored = last[-1].message if last else None
    if not isinstance(stored, RestoreRequested) or _wish(stored) != _wish(asked):
        raise KeyReusedError("this Idempotency-Key was used for a different restore")
    return stored


def _wish(asked: RestoreRequested) -> tuple[object, ...]:
    return (asked.backup_id, asked.target, asked.reason, asked.store_id, asked.test, asked.deep)


async def _shown(deps: Dependencies, asked: RestoreRequested, *, seq: int) -> Restore:
    row = await seen(deps, select(restores).where(restores.c.id == asked.restore_id))
    if row is not None:
        return restore_of(row)
    return Restore(
        id=asked.restore_id,
        run_id=asked.run_id,
        backup_id=asked.backup_id,
        target_server_id=asked.target.server_id,
        target_endpoint=asked.target.endpoint,
        target_name=asked.target.name,
        status="requested",
        actor=asked.actor,
        reason=asked.reason,
        test=asked.test,
        deep=asked.deep,
        requested_at=asked.at.astimezone(UTC),
        version=seq,
    )


StatusFilter = Annotated[
    Literal["requested", "running", "completed", "failed", "cancelled"] | None,
    QueryParameter(description="Only restores in this status"),
]
BackupFilter = Annotated[UUID | None, QueryParameter(description="Only restores of this backup")]


@get(
    "/restores", opt={"right": Right.BACKUPS_READ}, tags=["restores"], operation_id="list_restores"
)
async def list_restores(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    status: StatusFilter = None,
    backup_id: BackupFilter = None,
    sort: ByTime = "-requested_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Restore]:
    """List restores, the newest first."""
    window = Window(
        column=restores.c.requested_at,
        id_column=restores.c.id,
        kind=tuple[str, datetime, UUID],
        limit=limit,
        cursor=cursor,
        descending=sort.startswith("-"),
    )
    query = select(restores).where(visible(caller, Right.BACKUPS_READ, restores.c.target_server_id))
    if status is not None:
        query = query.where(restores.c.status == status)
    if backup_id is not None:
        query = query.where(restores.c.backup_id == backup_id)
    return await listed(deps, query, window, restore_of)


@get(
    "/restores/{restore_id:uuid}",
    opt={"right": Right.BACKUPS_READ},
    tags=["restores"],
    operation_id="get_restore",
)
async def get_restore(restore_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Restore]:
    """Show one restore."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_READ, RESTORE, restore_id)
    return configured.shown(row, RESTORE)


ROUTES = [
    restore_backup,
    test_restore_backup,
    deep_verify_backup,
    list_restores,
    get_restore,
]
