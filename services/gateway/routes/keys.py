"""The keys that open archives: which is in use, how far its rotation is, who takes one away."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from sqlalchemy import Row, func, select, union_all

from services.gateway.appending import land
from services.gateway.checkpointed import is_checkpointed
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.once import Answer, answer, first_id, once
from services.gateway.rights import Right
from services.gateway.signing_in import address_of
from shared.archive.keys import Recipient
from shared.bus import Draft
from shared.errors import NotFoundError
from shared.messages.facts import KeyExportRequested
from shared.messages.wire import decode
from shared.readmodel.configured import platform_of
from shared.readmodel.tables import (
    COPIED,
    STANDING,
    archives,
    audit_logs,
    backups,
    event_log,
    platform,
)


class KeyExport(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to take the recovery key away. The key is in no answer: once `admitted`, the command
    line hands it out on the machine where it lies."""

    id: UUID
    admitted: bool


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """How many archives are sealed to one key. `key_id` is None where nobody said."""

    key_id: str | None
    archives: int


class MasterKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key-encryption key that new archives are sealed to, and what is not sealed to it yet.

    `rotated_at` is when its last rotation began, `finished_at` when every archive was sealed to the
    new key and the ones before were needed no longer.
    """

    key_id: str
    recovery_key_id: str
    archives: int
    remaining: int
    by_key: list[KeyUse]
    rotated_at: datetime | None
    finished_at: datetime | None


@get(
    "/keys/master",
    opt={"right": Right.KEYS_READ},
    tags=["keys"],
    operation_id="get_master_key",
)
async def get_master_key(deps: Deps) -> MasterKey:
    """Show which key archives are sealed to, and how far a rotation is."""
    row = await deps.read_model.one(select(platform).where(platform.c.id == "self"))
    if row is None:
        raise NotFoundError("this installation has no identity yet", fix="start it once")
    setting = platform_of(row)
    newest = Recipient.parse(setting.platform_recipient).id
    uses = [KeyUse(key_id=one.key_id, archives=one.archives) for one in await _uses(deps)]
    rotated, finished = await _last(deps, "key.rotated"), await _last(deps, "key.rewrapped")
    over = finished is not None and (rotated is None or finished >= rotated)
    return MasterKey(
        key_id=newest,
        recovery_key_id=Recipient.parse(setting.recovery_recipient).id,
        archives=sum(one.archives for one in uses),
        remaining=sum(one.archives for one in uses if one.key_id != newest),
        by_key=uses,
        rotated_at=rotated,
        finished_at=finished if over else None,
    )


@post(
    "/keys/recovery/exports",
    opt={"right": Right.KEYS_EXPORT},
    tags=["keys"],
    operation_id="export_recovery_key",
    status_code=202,
)
async def export_recovery_key(
    request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[KeyExport]:
    """Say that the recovery key is to be exported; `Location` tells when it may be."""

    async def create(thing: UUID) -> Answer:
        asked = KeyExportRequested(
            id=first_id(thing),
            key_id="recovery",
            address=await address_of(request, deps, caller.user_id),
            actor=caller.actor,
            request_id=caller.request_id,
        )
        await land(deps, Draft(asked))
        location = f"/api/v1/keys/recovery/exports/{asked.id}"
        return answer(202, KeyExport(id=asked.id, admitted=False), location)

    return await once(request, deps, caller, create)


@get(
    "/keys/recovery/exports/{export_id:uuid}",
    opt={"right": Right.KEYS_EXPORT},
    tags=["keys"],
    operation_id="get_recovery_key_export",
)
async def get_recovery_key_export(export_id: FromPath[UUID], deps: Deps, caller: Who) -> KeyExport:
    """Show whether a signed audit checkpoint has passed an export that the caller asked for."""
    query = select(event_log.c.seq, event_log.c.data).where(event_log.c.event_id == str(export_id))
    row = await deps.read_model.one(query)
    asked = decode(row.data) if row else None
    if row is None or not isinstance(asked, KeyExportRequested) or asked.actor != caller.actor:
        raise NotFoundError("there is no such export of this account")
    return KeyExport(id=asked.id, admitted=await is_checkpointed(deps, row.seq))


async def _uses(deps: Dependencies) -> list[Row[Any]]:
    own = select(backups.c.key_id).where(
        backups.c.stored_bytes.is_not(None), backups.c.status.in_(STANDING)
    )
    copied = select(archives.c.key_id).where(archives.c.status.in_(COPIED))
    every = union_all(own, copied).subquery()
    query = select(every.c.key_id, func.count().label("archives")).group_by(every.c.key_id)
    return [*await deps.read_model.rows(query.order_by(func.count().desc()))]


async def _last(deps: Dependencies, action: str) -> datetime | None:
    query = select(func.max(audit_logs.c.time).label("at")).where(
        audit_logs.c.action == action, audit_logs.c.object == "key/master"
    )
    row = await deps.read_model.one(query)
    return row.at if row else None


ROUTES = [get_master_key, export_recovery_key, get_recovery_key_export]
