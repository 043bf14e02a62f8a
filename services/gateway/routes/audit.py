"""The audit log: who did what, searched, counted, and with proof that nothing was changed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import Provide
from litestar.params import FromPath, QueryParameter
from sqlalchemy import Row, select

from services.gateway.audit_entries import (
    Address,
    AuditDetail,
    AuditEntry,
    detail_of,
    found_entries,
    from_address,
)
from services.gateway.audit_names import with_key_names, with_names
from services.gateway.audit_search import Facets, Searched, facets, search_of
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import convert
from services.gateway.rights import Right
from services.gateway.scope import everywhere
from shared.errors import ForbiddenError, NotFoundError
from shared.messages.values import AuditHandover
from shared.readmodel.configured import platform_of
from shared.readmodel.tables import audit_checkpoints, audit_logs, platform

Size = Annotated[
    int | None,
    QueryParameter(ge=1, le=2**53, description="Of which checkpoint; without it, the newest"),
]
OldSize = Annotated[
    int, QueryParameter(name="from", ge=1, le=2**53, description="How large the log was then")
]
NewSize = Annotated[
    int | None,
    QueryParameter(name="to", ge=1, le=2**53, description="Of which checkpoint: the newest"),
]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The newest signed statement about the whole log (a C2SP signed note).

    `handovers` lead from the first audit key to the present one, and prove themselves.
    """

    size: int
    root: str
    note: str
    at: datetime
    handovers: list[AuditHandover] = []


class InclusionProof(msgspec.Struct, frozen=True, kw_only=True):
    """That entry `n` is in the log that `checkpoint` signs (RFC 6962; hashes in hex).

    `leaf` is the canonical text that was hashed; `path` leads from it to the checkpoint's root.
    """

    n: int
    leaf: str
    leaf_hash: str
    path: list[str]
    checkpoint: Checkpoint


class ConsistencyProof(msgspec.Struct, frozen=True, kw_only=True):
    """That the log of `old_size` entries is the beginning of the one that `checkpoint` signs."""

    old_size: int
    old_root: str
    path: list[str]
    checkpoint: Checkpoint


SEARCHING = {"search": Provide(search_of)}


@get(
    "/audit/logs",
    opt={"right": Right.AUDIT_READ},
    tags=["audit"],
    operation_id="list_audit",
    dependencies=SEARCHING,
)
async def list_audit(
    deps: Deps,
    caller: Who,
    search: Searched,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[AuditEntry]:
    """List audit entries, the newest first.

    Addresses are sealed, so a search by one reads entry after entry: a page may then hold fewer
    than `limit` entries, even none, and still lead on.
    """
    if search.address is None:
        return await _named(deps, await found_entries(deps, search, limit, cursor))
    if not everywhere(caller, Right.USERS_READ):
        raise ForbiddenError("to search by address needs the right users.read")
    found = await from_address(deps, search, Address(search.address), limit, cursor)
    return await _named(deps, found)


async def _named(deps: Dependencies, page: Page[AuditEntry]) -> Page[AuditEntry]:
    return msgspec.structs.replace(page, items=await with_names(deps, page.items))


@get(
    "/audit/logs/{n:int}",
    opt={"right": Right.AUDIT_READ},
    tags=["audit"],
    operation_id="get_audit_entry",
)
async def get_audit_entry(n: FromPath[int], deps: Deps, caller: Who) -> AuditDetail:
    """Show one entry: what the event says, and what a setting was before and after.

    Of a secret only that it changed is told; an address needs the right users.read.
    """
    row = await _entry(deps, n)
    detail = await detail_of(deps, row, personal=everywhere(caller, Right.USERS_READ))
    [entry] = await with_names(deps, [detail.entry])
    return msgspec.structs.replace(detail, entry=entry)


@get(
    "/audit/facets",
    opt={"right": Right.AUDIT_READ},
    tags=["audit"],
    operation_id="count_audit",
    dependencies=SEARCHING,
)
async def count_audit(deps: Deps, search: Searched) -> Facets:
    """Count what stands in the entries that match, to search further."""
    if search.address is not None:
        fault = InputFault("query:address", "entries are not counted by address")
        raise InvalidFieldsError("an address is no facet", [fault])
    found = await facets(deps, search)
    return msgspec.structs.replace(found, actors=await with_key_names(deps, found.actors))


@get(
    "/audit/checkpoint",
    opt={"right": Right.AUDIT_READ},
    tags=["audit"],
    operation_id="show_checkpoint",
)
async def show_checkpoint(deps: Deps, size: Size = None) -> Checkpoint:
    """A signed checkpoint: the newest, or that of a size."""
    return await _checkpoint(deps, size)


@get(
    "/audit/proof/{n:int}",
    opt={"right": Right.AUDIT_READ},
    tags=["audit"],
    operation_id="prove_inclusion",
)
async def prove_inclusion(n: FromPath[int], deps: Deps, size: Size = None) -> InclusionProof:
    """Prove that an entry is in the log, without the rest of it."""
    row, checkpoint = await _entry(deps, n), await _checkpoint(deps, size)
    if n >= checkpoint.size:
        raise NotFoundError("that checkpoint does not cover the entry", fix="wait some seconds")
    root = bytes.fromhex(checkpoint.root)
    leaf_hash, path = await deps.proofs.inclusion(n, checkpoint.size, root)
    return InclusionProof(
        n=n,
        leaf=bytes(row.leaf).decode(),
        leaf_hash=leaf_hash.hex(),
        path=[one.hex() for one in path],
        checkpoint=checkpoint,
    )


@get(
    "/audit/consistency",
    opt={"right": Right.AUDIT_READ},
    tags=["audit"],
    operation_id="prove_consistency",
)
async def prove_consistency(deps: Deps, old: OldSize, new: NewSize = None) -> ConsistencyProof:
    """Prove that the log only grew since a checkpoint that you kept."""
    earlier, checkpoint = await _checkpoint(deps, old), await _checkpoint(deps, new)
    if old > checkpoint.size:
        raise NotFoundError("the log was never that large at that checkpoint")
    old_root = bytes.fromhex(earlier.root)
    path = await deps.proofs.consistency(
        old, old_root, checkpoint.size, bytes.fromhex(checkpoint.root)
    )
    return ConsistencyProof(
        old_size=old,
        old_root=earlier.root,
        path=[one.hex() for one in path],
        checkpoint=checkpoint,
    )


async def _entry(deps: Dependencies, n: int) -> Row[Any]:
    row = None
    if 0 <= n < 2**63:
        row = await deps.read_model.one(select(audit_logs).where(audit_logs.c.n == n))
    if row is None:
        raise NotFoundError("there is no audit entry with this number", fix="see /audit/logs")
    return row


async def _checkpoint(deps: Dependencies, size: int | None) -> Checkpoint:
    query = select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(1)
    if size is not None:
        query = query.where(audit_checkpoints.c.size == size)
    row = await deps.read_model.one(query)
    if row is None:
        what = "no checkpoint was signed yet" if size is None else "no checkpoint has this size"
        raise NotFoundError(what, fix="wait a minute, or ask for the newest")
    identity = await deps.read_model.one(select(platform))
    handovers = platform_of(identity).handovers if identity else []
    return convert(row, Checkpoint, root=row.root.hex(), handovers=handovers)


ROUTES = [
    list_audit,
    get_audit_entry,
    count_audit,
    show_checkpoint,
    prove_inclusion,
    prove_consistency,
]
