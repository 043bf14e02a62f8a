"""Backups: asked for, listed, deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta
from msgspec.structs import replace
from sqlalchemy import Row, Select, select

from services.gateway import configured
from services.gateway.appending import land, seen
from services.gateway.backup_facts import Facts, land_on
from services.gateway.callers import Caller
from services.gateway.chained import refuse_needed, refuse_without_parent
from services.gateway.configured import Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import (
    DeletionBegunError,
    ExpiresAgainError,
    HeldError,
    KeyReusedError,
    StillRunningError,
)
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByTime, Cursor, Limit, Window, listed
from services.gateway.once import Answer, answer, first_id, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.references import Reference, pool_of, refuse_unknown_store
from services.gateway.representations import (
    Accepted,
    BackupKind,
    ChainLimit,
    CodecName,
    Input,
    Label,
    Text,
    convert,
)
from services.gateway.rights import Right
from services.gateway.scope import visible
from shared.bus import Draft, Expect, WrongSequenceError
from shared.errors import ConflictError
from shared.messages.base import consequence
from shared.messages.facts import (
    BackupDeleteRequested,
    BackupExpired,
    BackupRequested,
    BackupUndeleted,
)
from shared.messages.values import ArchiveFacts, BackupType, CheckResult, Hold, Problem
from shared.readmodel.tables import archives, backup_metadata, backups
from shared.restorability import Restorability, restorabilities
from shared.retention.deletion import is_begun, taken_back, wish_in
from shared.retention.holds import holding, holds_in

BackupStatus = Literal[
    "requested",
    "running",
    "completed",
    "failed",
    "cancelled",
    "expired",
    "deleting",
    "deleted",
]
Proof = Literal["unverified", "verified", "corrupt"]
StatusFilter = Annotated[
    BackupStatus | None, QueryParameter(description="Only backups in this status")
]
DatabaseFilter = Annotated[UUID | None, QueryParameter(description="Only backups of this database")]
ChainFilter = Annotated[
    UUID | None, QueryParameter(description="Only the backups of the chain of this full")
]
ServerFilter = Annotated[UUID | None, QueryParameter(description="Only backups from this server")]


class NewBackup(Input, frozen=True, kw_only=True):
    """Which database to back up, and where to."""

    database: Reference
    store_id: Label
    further_store_ids: Annotated[
        list[Label], Meta(max_length=10, description="Stores that get a copy once it is completed")
    ] = []
    type: BackupKind = "full"
    method: Literal["logical"] = "logical"
    codec: CodecName = "zstd"
    chain_limit: ChainLimit = 30
    note: Text = ""


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """One backup. `proof` says what reading the archive again has shown. `parent_id` is what it
    builds on, `chain_id` the full that its chain begins with, `fresh_bytes` what no other backup
    of the chain holds. `restore_tested_at` is when it was last restored into a throw-away
    instance and found equal, `restore_test_s` how long that took, `restore_test_problem` why the
    last such test failed, `restore_test_checks` what the last one answered. `deep_verified_at` is
    when it was last read with its keys and found whole. Until
    `locked_until` its store lets nobody delete it: a wish to waits until then."""

    id: UUID
    run_id: UUID
    database_id: UUID
    server_id: UUID
    endpoint: str
    database_name: str
    store_id: str
    type: str
    method: str
    codec: str
    status: BackupStatus
    proof: Proof = "unverified"
    attempt: int = 0
    chain_id: UUID | None = None
    parent_id: UUID | None = None
    raw_bytes: int | None = None
    fresh_bytes: int | None = None
    full_because: str = ""
    stored_bytes: int | None = None
    problem: Problem | None = None
    actor: str
    note: str = ""
    requested_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    taken_at: datetime | None = None
    verified_at: datetime | None = None
    restore_tested_at: datetime | None = None
    restore_test_s: float | None = None
    restore_test_problem: Problem | None = None
    restore_test_checks: list[CheckResult] | None = None
    deep_verified_at: datetime | None = None
    deep_verify_s: float | None = None
    holds: list[Hold] = []
    delete_after: datetime | None = None
    locked_until: datetime | None = None
    version: int
    archive: ArchiveFacts | None = None
    restorability: Restorability | None = None


def backup_of(row: Row[Any]) -> Backup:
    """A row as the API shows it."""
    return convert(row, Backup)


BACKUP = Noun("backup", backups, "/backups", backup_of, server="server_id")


@get("/backups", opt={"right": Right.BACKUPS_READ}, tags=["backups"], operation_id="list_backups")
async def list_backups(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    status: StatusFilter = None,
    database_id: DatabaseFilter = None,
    server_id: ServerFilter = None,
    chain_id: ChainFilter = None,
    sort: ByTime = "-requested_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Backup]:
    """List backups, the newest first, and whether each can be restored."""
    window = Window(
        column=backups.c.requested_at,
        id_column=backups.c.id,
        kind=tuple[str, datetime, UUID],
        limit=limit,
        cursor=cursor,
        descending=sort.startswith("-"),
    )
    query = _filtered(status, database_id, server_id, chain_id)
    query = query.where(visible(caller, Right.BACKUPS_READ, backups.c.server_id))
    page = await listed(deps, query, window, backup_of)
    known = await restorabilities(deps.read_model, page.items)
    items = [replace(one, restorability=known.get(one.id)) for one in page.items]
    return replace(page, items=items)


def _filtered(
    status: str | None, database_id: UUID | None, server_id: UUID | None, chain_id: UUID | None
) -> Select[Any]:
    query = select(backups)
    if chain_id is not None:
        query = query.where(backups.c.chain_id == chain_id)
    if status is not None:
        query = query.where(backups.c.status == status)
    if database_id is not None:
        query = query.where(backups.c.database_id == database_id)
    if server_id is not None:
        query = query.where(backups.c.server_id == server_id)
    return query


@post(
    "/backups",
    opt={"right": Right.BACKUPS_CREATE},
    tags=["backups"],
    operation_id="create_backup",
    status_code=202,
)
async def create_backup(
    data: JSONBody[NewBackup], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Backup]:
    """Ask for a backup; `Location` leads to its run."""

    async def create(thing: UUID) -> Answer:
        return await _create(deps, caller, thing, data)

    return await once(request, deps, caller, create)


async def _create(deps: Dependencies, caller: Caller, thing: UUID, data: NewBackup) -> Answer:
    for store_id in {data.store_id, *data.further_store_ids}:
        await refuse_unknown_store(deps, store_id)
    asked = BackupRequested(
        id=first_id(thing),
        backup_id=thing,
        run_id=consequence(thing, "run"),
        database=data.database.named(),
        store_id=data.store_id,
        further_store_ids=[*dict.fromkeys(data.further_store_ids)],
        run_pool=await pool_of(deps, caller, Right.BACKUPS_CREATE, data.database),
        type_wanted=BackupType(data.type),
        codec=data.codec,
        chain_limit=data.chain_limit,
        note=data.note,
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


async def _stored(deps: Dependencies, asked: BackupRequested) -> BackupRequested:
    """What an earlier try with the same key has stored; raises when that was another request."""
    last = await deps.bus.last_of(asked.subject)
    stored = last[-1].message if last else None
    if not isinstance(stored, BackupRequested) or _wish(stored) != _wish(asked):
        raise KeyReusedError("this Idempotency-Key was used for a different backup")
    return stored


def _wish(asked: BackupRequested) -> tuple[object, ...]:
    how = (asked.type_wanted, asked.codec, asked.chain_limit)
    return (asked.database, asked.store_id, how, asked.note, asked.further_store_ids)


async def _shown(deps: Dependencies, asked: BackupRequested, *, seq: int) -> Backup:
    row = await seen(deps, select(backups).where(backups.c.id == asked.backup_id))
    if row is not None:
        return backup_of(row)
    return Backup(
        id=asked.backup_id,
        run_id=asked.run_id,
        database_id=asked.database.id,
        server_id=asked.database.server_id,
        endpoint=asked.database.endpoint,
        database_name=asked.database.name,
        store_id=asked.store_id,
        type=asked.type_wanted.value,
        method=asked.method.value,
        codec=asked.codec,
        status="requested",
        actor=asked.actor,
        note=asked.note,
        requested_at=asked.at.astimezone(UTC),
        version=seq,
    )


@get(
    "/backups/{backup_id:uuid}",
    opt={"right": Right.BACKUPS_READ},
    tags=["backups"],
    operation_id="get_backup",
)
async def get_backup(backup_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Backup]:
    """Show one backup with what is known of its archive, and whether it can be restored."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_READ, BACKUP, backup_id)
    archive = await deps.read_model.one(
        select(backup_metadata.c.archive).where(backup_metadata.c.backup_id == backup_id)
    )
    known = await restorabilities(deps.read_model, [row])
    shown = convert(
        row,
        Backup,
        archive=archive.archive if archive else None,
        restorability=known.get(backup_id),
    )
    return Response(shown, headers={"ETag": f'"{row.version}"'})


@delete(
    "/backups/{backup_id:uuid}",
    opt={"right": Right.BACKUPS_DELETE},
    tags=["backups"],
    operation_id="delete_backup",
    status_code=202,
)
async def delete_backup(backup_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Accepted]:
    """Delete a backup in every store, once the time to take that back is over (`delete_after`) and
    the request stands in a signed audit checkpoint."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_DELETE, BACKUP, backup_id)
    if row.status in {"requested", "running"}:
        raise StillRunningError("the backup is not finished")
    if row.status == "deleted" and not await _copied(deps, backup_id):
        raise ConflictError("the backup is deleted already")
    await refuse_needed(deps, row)

    def wish(facts: Facts) -> BackupDeleteRequested | None:
        if isinstance(wish_in(facts), BackupDeleteRequested) and row.status != "deleted":
            return None  # somebody asked before: one request is enough
        if holding(holds_in(facts), deps.clock()):
            raise HeldError("a hold lies on the backup")
        window = timedelta(seconds=deps.settings.undo_window_s)
        return BackupDeleteRequested(
            backup_id=backup_id,
            actor=caller.actor,
            request_id=caller.request_id,
            delete_after=None if is_begun(facts) else deps.clock() + window,
        )

    await land_on(deps, backup_id, wish)
    location = f"/api/v1/backups/{backup_id}"
    accepted = Accepted(id=str(backup_id), href=location)
    return Response(accepted, status_code=202, headers={"Location": location})


@post(
    "/backups/{backup_id:uuid}/undelete",
    opt={"right": Right.BACKUPS_DELETE},
    tags=["backups"],
    operation_id="undelete_backup",
    status_code=202,
)
async def undelete_backup(backup_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Accepted]:
    """Take the deletion of a backup back, before it has begun. What a policy let expire needs a
    hold first, or it would expire again."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_DELETE, BACKUP, backup_id)
    await refuse_without_parent(deps, row)

    def keep(facts: Facts) -> BackupUndeleted | None:
        if is_begun(facts):
            raise DeletionBegunError("the deletion of the backup has begun")
        wish = wish_in(facts)
        if wish is None:
            raise ConflictError("nobody wants the backup deleted", fix="look at its status")
        back = taken_back(facts)
        expired = any(isinstance(one, BackupExpired) and seq > back for seq, one in facts)
        if expired and not holding(holds_in(facts), deps.clock()):
            raise ExpiresAgainError("a policy does not keep the backup")
        return BackupUndeleted(
            backup_id=backup_id, actor=caller.actor, request_id=caller.request_id
        )

    await land_on(deps, backup_id, keep)
    location = f"/api/v1/backups/{backup_id}"
    accepted = Accepted(id=str(backup_id), href=location)
    return Response(accepted, status_code=202, headers={"Location": location})


async def _copied(deps: Dependencies, backup_id: UUID) -> bool:
    standing = select(archives.c.id).where(
        archives.c.backup_id == backup_id, archives.c.status.not_in(("deleted", "failed"))
    )
    return await deps.read_model.one(standing.limit(1)) is not None


ROUTES = [
    list_backups,
    create_backup,
    get_backup,
    delete_backup,
    undelete_backup,
]
