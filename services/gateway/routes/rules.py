"""Rules: which facts a channel hears."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway.configured import Change, Noun
from services.gateway.crud import Crud, routes_of
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
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


async def _setting(
    deps: Dependencies, change: Change, data: NewRule, _before: Row[Any] | None
) -> RuleSetting:
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


ROUTES = routes_of(
    Crud(
        noun=RULE,
        plural="rules",
        tag="notifications",
        given=NewRule,
        shown=Rule,
        read=Right.NOTIFICATIONS_READ,
        write=Right.NOTIFICATIONS_WRITE,
        setting=_setting,
        says={
            "list": "List the rules by name.",
            "create": "Make a channel hear some facts.",
            "get": "Show one rule.",
            "replace": "Replace a rule.",
            "delete": "Delete a rule: its channel hears these facts no longer.",
        },
    )
)
