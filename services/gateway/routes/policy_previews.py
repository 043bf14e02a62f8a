"""Dry runs: what a policy would keep of the backups there are, before it is saved or as it is."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta
from sqlalchemy import select

from services.gateway import configured
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit
from services.gateway.paging import DEFAULT_LIMIT
from services.gateway.previews import (
    DATABASES_AT_ONCE,
    Preview,
    Question,
    preview,
    start_of,
)
from services.gateway.representations import Input, Label
from services.gateway.rights import Right
from services.gateway.routes.policies import POLICY, KeepRules, refuse_empty
from services.gateway.scope import visible
from shared.readmodel.tables import databases
from shared.retention.history import under_policy
from shared.retention.policy import Candidate
from shared.retention.rules import Rules

Expiring = Annotated[bool, QueryParameter(description="Only what would expire")]


class Draft(Input, frozen=True, kw_only=True):
    """A policy that is not saved, and the databases to try it on.

    With `replaces` it stands for that policy only, and others stay as they are; without, it is
    applied to all backups of these databases in all stores.
    """

    rules: KeepRules
    database_ids: Annotated[list[UUID], Meta(min_length=1, max_length=DATABASES_AT_ONCE)]
    replaces: Label | None = None


@post(
    "/policies/preview",
    opt={"right": Right.POLICIES_READ},
    tags=["policies"],
    operation_id="preview_new_policy",
    status_code=200,
)
async def preview_new_policy(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    data: JSONBody[Draft],
    deps: Deps,
    caller: Who,
    expiring: Expiring = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Preview:
    """Show what a policy would keep of these databases' backups, and why; it is not saved."""
    refuse_empty(data.rules)
    start = start_of(deps, cursor)
    seen = visible(caller, Right.BACKUPS_READ, databases.c.server_id)
    query = select(databases.c.id).where(seen, databases.c.id.in_(data.database_ids))
    rows = await deps.read_model.rows(query.order_by(databases.c.id))
    chosen = [row.id for row in rows]
    if len(chosen) < len(set(data.database_ids)):
        fault = InputFault("/database_ids", "one of them does not exist in your scope")
        raise InvalidFieldsError("there is no such database", [fault])

    def of_interest(one: Candidate) -> bool:
        return data.replaces is None or _policy(one) == data.replaces

    asked = Question(
        limit=limit,
        expiring=expiring,
        rules=Rules(**msgspec.structs.asdict(data.rules), id=data.replaces or ""),
        under=of_interest,
        shown=of_interest,
    )
    left = [one for one in chosen if start is None or one >= start.database_id]
    return await preview(deps, left, start, asked)


@get(
    "/policies/{policy_id:uuid}/preview",
    opt={"right": Right.POLICIES_READ},
    tags=["policies"],
    operation_id="preview_policy",
)
async def preview_policy(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    policy_id: FromPath[UUID],
    deps: Deps,
    caller: Who,
    expiring: Expiring = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Preview:
    """Show what the policy keeps of the backups that it applies to, and why."""
    row = await configured.row_of(deps, POLICY, str(policy_id))
    start = start_of(deps, cursor)
    query = under_policy(row.id).where(visible(caller, Right.BACKUPS_READ, databases.c.server_id))
    if start is not None:
        query = query.where(databases.c.id >= start.database_id)
    rows = await deps.read_model.rows(query.order_by(databases.c.id).limit(DATABASES_AT_ONCE + 1))
    asked = Question(limit=limit, expiring=expiring, shown=lambda one: _policy(one) == row.id)
    return await preview(deps, [found.id for found in rows], start, asked)


def _policy(one: Candidate) -> str | None:
    return one.rules.id if one.rules else None


ROUTES = [preview_new_policy, preview_policy]
