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
from services.gateway.errors import InputFault, InUseError, InvalidFieldsError
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByName, Cursor, Limit, NamePart, all_by_name
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input, Name, convert
from services.gateway.rights import Right
from shared.messages.settings import PolicySetting
from shared.readmodel.tables import databases, retention_policies, schedules
from shared.retention.history import RULES


class KeepRules(Input, frozen=True, kw_only=True):
    """What to keep of each database in each store: whatever one of the rules keeps.

    Days, weeks (from Monday), months and years are those of the schedule's time zone; of each of
    the last N that have a good backup, the newest is kept. The last good and the last verified
    backup of a store are kept in any case.
    """

    keep_last: Annotated[int, Meta(ge=0, le=100_000, description="The newest good ones")] = 0
    keep_days: Annotated[int, Meta(ge=0, le=36_500, description="Those of the last days")] = 0
    keep_daily: Annotated[int, Meta(ge=0, le=36_500)] = 0
    keep_weekly: Annotated[int, Meta(ge=0, le=5_200)] = 0
    keep_monthly: Annotated[int, Meta(ge=0, le=1_200)] = 0
    keep_yearly: Annotated[int, Meta(ge=0, le=100)] = 0
    min_age_s: Annotated[
        int, Meta(ge=0, le=3_200_000_000, description="Nothing younger expires")
    ] = 0


class NewPolicy(KeepRules, frozen=True, kw_only=True):
    """A policy to make, or what one is to become."""

    name: Name


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy."""

    id: str
    name: str
    keep_last: int
    keep_days: int
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    keep_yearly: int
    min_age_s: int
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
    deps: Deps,
    name: NamePart = None,
    sort: ByName = "name",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Policy]:
    """List the policies by name."""
    return await all_by_name(
        deps, retention_policies, policy_of, name=name, sort=sort, limit=limit, cursor=cursor
    )


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

    refuse_empty(data)

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
    """Replace a policy; it applies to all databases and schedules that name it.

    What it keeps no longer expires once the change stands in a signed audit checkpoint.
    """
    refuse_empty(data)
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
    """Delete a policy that no database and no schedule names."""
    row = await configured.current(deps, POLICY, str(policy_id), request)
    using = select(databases.c.id).where(databases.c.policy_id == row.id).limit(1)
    if await deps.read_model.one(using) is not None:
        raise InUseError("a database names this policy", fix="give its databases another policy")
    named = schedules.c.targets.contains([{"policy_id": row.id}])
    if await deps.read_model.one(select(schedules.c.id).where(named).limit(1)) is not None:
        raise InUseError("a schedule names this policy", fix="give its stores another policy")
    await configured.remove(deps, POLICY, row, caller)


def _setting(change: Change, data: NewPolicy) -> PolicySetting:
    return PolicySetting(**change.said_by(), **msgspec.structs.asdict(data))


def refuse_empty(rules: KeepRules) -> None:
    """Raise when no rule keeps anything."""
    kept = {name: getattr(rules, name) for name in RULES if name.startswith("keep_")}
    if not any(kept.values()):
        faults = [InputFault(f"/{name}", "one of the rules has to keep something") for name in kept]
        raise InvalidFieldsError("the policy keeps nothing", faults)


ROUTES = [
    list_policies,
    create_policy,
    get_policy,
    replace_policy,
    delete_policy,
]
