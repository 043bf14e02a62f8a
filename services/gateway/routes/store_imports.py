"""Imports: the backups that another installation left in a store become known here."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from sqlalchemy import select

from services.gateway import configured
from services.gateway.appending import land
from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.once import Answer, answer, first_id, once
from services.gateway.representations import Input
from services.gateway.rights import Right
from services.gateway.routes.stores import STORE
from shared.bus import Draft
from shared.errors import NotFoundError
from shared.messages.base import consequence
from shared.messages.facts import StoreImported, StoreImportRequested
from shared.messages.facts.stores import RefusedArchive
from shared.messages.values import Problem
from shared.messages.wire import decode
from shared.readmodel.tables import event_log


class NewImport(Input, frozen=True, kw_only=True):
    """`trust`: the fingerprint on the recovery sheet of the platform that made the backups."""

    trust: Annotated[str, Meta(pattern=r"^SHA256:[A-Za-z0-9_-]{43}$")]


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """One search of a store. `refused` names the first of what was not believed or not whole."""

    id: UUID
    store_id: str
    trust: str
    status: Literal["running", "completed", "failed"]
    imported: int = 0
    known: int = 0
    refusals: int = 0
    refused: list[RefusedArchive] = []
    problem: Problem | None = None


@post(
    "/stores/{store_id:uuid}/imports",
    opt={"right": Right.STORES_IMPORT},
    tags=["stores"],
    operation_id="import_store",
    status_code=202,
)
async def import_store(
    store_id: FromPath[UUID],
    data: JSONBody[NewImport],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Import]:
    """Search the store for backups that the named platform signed; `Location` tells the outcome."""

    async def create(thing: UUID) -> Answer:
        return await _create(deps, caller, thing, str(store_id), data)

    return await once(request, deps, caller, create)


async def _create(
    deps: Dependencies, caller: Caller, thing: UUID, store_id: str, data: NewImport
) -> Answer:
    row = await configured.row_of(deps, STORE, store_id)
    asked = StoreImportRequested(
        id=first_id(thing),
        store_id=row.id,
        trusted=data.trust,
        actor=caller.actor,
        request_id=caller.request_id,
    )
    await land(deps, Draft(asked))
    location = f"{STORE.location(row.id)}/imports/{asked.id}"
    return answer(202, _shown(asked, None), location)


@get(
    "/stores/{store_id:uuid}/imports/{import_id:uuid}",
    opt={"right": Right.STORES_IMPORT},
    tags=["stores"],
    operation_id="get_store_import",
)
async def get_store_import(
    store_id: FromPath[UUID], import_id: FromPath[UUID], deps: Deps
) -> Import:
    """Show what an import has found."""
    asked = await _said(deps, import_id)
    if not isinstance(asked, StoreImportRequested) or asked.store_id != str(store_id):
        raise NotFoundError("there is no such import")
    outcome = await _said(deps, consequence(import_id, "imported"))
    return _shown(asked, outcome if isinstance(outcome, StoreImported) else None)


async def _said(deps: Dependencies, event_id: UUID) -> object:
    query = select(event_log.c.data).where(event_log.c.event_id == str(event_id))
    row = await deps.read_model.one(query)
    return decode(row.data) if row else None


def _shown(asked: StoreImportRequested, outcome: StoreImported | None) -> Import:
    shown = Import(id=asked.id, store_id=asked.store_id, trust=asked.trusted, status="running")
    if outcome is None:
        return shown
    return msgspec.structs.replace(
        shown,
        status="failed" if outcome.problem else "completed",
        imported=outcome.imported,
        known=outcome.known,
        refusals=outcome.refusals,
        refused=outcome.refused,
        problem=outcome.problem,
    )


ROUTES = [import_store, get_store_import]
