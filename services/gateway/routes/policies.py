"""Policies: what to keep."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.configured import Change, Noun
from services.gateway.errors import InUseError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit, all_by_name
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input, Name, convert
from services.gateway.rights import Right
from shared.messages.settings import PolicySetting
from shared.readmodel.tables import databases, retention_policies


class NewPolicy(Input, frozen=True, kw_only=True):
    """What to keep: the newest `keep_last` good backups of each database."""

    name: Name
    keep_last: Annotated[int, Meta(ge=1, le=100_000)]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy."""

    id: str
    name: str
    keep_last: int
    created_at: datetime
    updated_at: datetime
    version: int


def policy_of(row: Row[Any]) -> Policy:
    """A row as the API shows it."""
    return convert(row, Policy)


POLICY = Noun("policy", retention_policies, "/policies", policy_of)


@get(
    "/policies", opt={"right": Right.POLICIES_READ}, tags=["policies"], operation_id="list_policies"
)
async def list_policies(
    deps: Deps, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Policy]:
    """List the policies by name."""
    return await all_by_name(deps, retention_policies, limit, cursor, policy_of)


@post(
    "/policies",
    opt={"right": Right.POLICIES_WRITE},
    tags=["policies"],
    operation_id="create_policy",
    status_code=201,
)
async def create_policy(
    data: JSONBody[NewPolicy], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Policy]:
    """Make a policy; it keeps nothing until a database names it."""

    async def create(thing: UUID) -> Answer:
        change = configured.creating(thing, caller)

        async def make() -> PolicySetting:
            return _setting(change, data)

        return await configured.create(deps, POLICY, change, data.name, make)

    return await once(request, deps, caller, create)


@get(
    "/policies/{policy_id:uuid}",
    opt={"right": Right.POLICIES_READ},
    tags=["policies"],
    operation_id="get_policy",
)
async def get_policy(policy_id: FromPath[UUID], deps: Deps) -> Response[Policy]:
    """Show one policy."""
    return configured.shown(await configured.row_of(deps, POLICY, str(policy_id)), POLICY)


@put(
    "/policies/{policy_id:uuid}",
    opt={"right": Right.POLICIES_WRITE},
    tags=["policies"],
    operation_id="replace_policy",
)
async def replace_policy(
    policy_id: FromPath[UUID],
    data: JSONBody[NewPolicy],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Policy]:
    """Replace a policy; it applies to all databases that name it."""
    row = await configured.current(deps, POLICY, str(policy_id), request)
    setting = _setting(configured.changing(policy_id, caller), data)
    return await configured.replace(deps, POLICY, row, setting, data.name)


@delete(
    "/policies/{policy_id:uuid}",
    opt={"right": Right.POLICIES_WRITE},
    tags=["policies"],
    operation_id="delete_policy",
    status_code=204,
)
async def delete_policy(
    policy_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Delete a policy that no database names."""
    row = await configured.current(deps, POLICY, str(policy_id), request)
    using = select(databases.c.id).where(databases.c.policy_id == row.id).limit(1)
    if await deps.read_model.one(using) is not None:
        raise InUseError("a database names this policy", fix="give its databases another policy")
    await configured.remove(deps, POLICY, row, caller)


def _setting(change: Change, data: NewPolicy) -> PolicySetting:
    return PolicySetting(**change.said_by(), name=data.name, keep_last=data.keep_last)


ROUTES = [
    list_policies,
    create_policy,
    get_policy,
    replace_policy,
    delete_policy,
]
