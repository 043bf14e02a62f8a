"""Rules: which facts a channel hears."""

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
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit, all_by_name
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input, Label, Name, convert
from services.gateway.rights import Right
from shared.messages.settings import RuleSetting
from shared.readmodel.tables import notification_channels, notification_rules

PATH = "/notifications/rules"
FactPattern = Annotated[
    str,
    Meta(
        pattern=r"^[a-z]+\.([a-z_]+|\*)$",
        max_length=64,
        description="A fact's type, as `backup.failed`, or a noun followed by `.*`",
    ),
]


class NewRule(Input, frozen=True, kw_only=True):
    """Which facts a channel hears."""

    name: Name
    channel_id: Label
    facts: Annotated[list[FactPattern], Meta(min_length=1, max_length=50)]
    enabled: bool = True


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule."""

    id: str
    name: str
    channel_id: str
    facts: list[str]
    enabled: bool
    created_at: datetime
    updated_at: datetime
    version: int


def rule_of(row: Row[Any]) -> Rule:
    """A row as the API shows it."""
    return convert(row, Rule)


RULE = Noun("rule", notification_rules, "/notifications/rules", rule_of)


@get(
    PATH, opt={"right": Right.NOTIFICATIONS_READ}, tags=["notifications"], operation_id="list_rules"
)
async def list_rules(deps: Deps, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[Rule]:
    """List the rules by name."""
    return await all_by_name(deps, notification_rules, limit, cursor, rule_of)


@post(
    PATH,
    opt={"right": Right.NOTIFICATIONS_WRITE},
    tags=["notifications"],
    operation_id="create_rule",
    status_code=201,
)
async def create_rule(
    data: JSONBody[NewRule], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Rule]:
    """Make a channel hear some facts."""

    async def create(thing: UUID) -> Answer:
        change = configured.creating(thing, caller)

        async def make() -> RuleSetting:
            return await _setting(deps, change, data)

        return await configured.create(deps, RULE, change, data.name, make)

    return await once(request, deps, caller, create)


@get(
    PATH + "/{rule_id:uuid}",
    opt={"right": Right.NOTIFICATIONS_READ},
    tags=["notifications"],
    operation_id="get_rule",
)
async def get_rule(rule_id: FromPath[UUID], deps: Deps) -> Response[Rule]:
    """Show one rule."""
    return configured.shown(await configured.row_of(deps, RULE, str(rule_id)), RULE)


@put(
    PATH + "/{rule_id:uuid}",
    opt={"right": Right.NOTIFICATIONS_WRITE},
    tags=["notifications"],
    operation_id="replace_rule",
)
async def replace_rule(
    rule_id: FromPath[UUID],
    data: JSONBody[NewRule],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Rule]:
    """Replace a rule."""
    row = await configured.current(deps, RULE, str(rule_id), request)
    setting = await _setting(deps, configured.changing(rule_id, caller), data)
    return await configured.replace(deps, RULE, row, setting, data.name)


@delete(
    PATH + "/{rule_id:uuid}",
    opt={"right": Right.NOTIFICATIONS_WRITE},
    tags=["notifications"],
    operation_id="delete_rule",
    status_code=204,
)
async def delete_rule(
    rule_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Delete a rule: its channel hears these facts no longer."""
    row = await configured.current(deps, RULE, str(rule_id), request)
    await configured.remove(deps, RULE, row, caller)


async def _setting(deps: Dependencies, change: Change, data: NewRule) -> RuleSetting:
    channel = select(notification_channels.c.id).where(
        notification_channels.c.id == data.channel_id
    )
    if await deps.read_model.one(channel) is None:
        fault = InputFault("/channel_id", "no such channel")
        raise InvalidFieldsError("the rule names a channel that does not exist", [fault])
    return RuleSetting(
        **change.said_by(),
        name=data.name,
        channel_id=data.channel_id,
        facts=data.facts,
        enabled=data.enabled,
    )


ROUTES = [
    list_rules,
    create_rule,
    get_rule,
    replace_rule,
    delete_rule,
]
