"""Rules: which facts a channel hears."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

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
from shared.messages.values import Digest, QuietHours, Severity
from shared.readmodel.tables import (
    notification_channels,
    notification_rules,
    notification_templates,
    server_groups,
)

PATH = "/notifications/rules"
FactPattern = Annotated[
    str,
    Meta(
        pattern=r"^[a-z]+\.([a-z_]+|\*)$",
        max_length=64,
        description="A fact's type, as `backup.failed`, or a noun followed by `.*`",
    ),
]


Labels = Annotated[list[Label], Meta(max_length=50)]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM")]
TimeZone = Annotated[str, Meta(max_length=64, description="An IANA name, as Europe/Berlin")]


class Quiet(Input, frozen=True, kw_only=True):
    """Hours, each day, in which all but what is critical waits for their end."""

    begins: Clock
    ends: Clock
    time_zone: TimeZone = "UTC"


class DigestWanted(Input, frozen=True, kw_only=True):
    """Everything in one message a day or a week. `weekday` counts from 0, a Monday."""

    every: Literal["day", "week"]
    at: Clock = "08:00"
    weekday: Annotated[int, Meta(ge=0, le=6)] = 0
    time_zone: TimeZone = "UTC"


class NewRule(Input, frozen=True, kw_only=True):
    """Which facts a channel hears."""

    name: Name
    channel_id: Label
    facts: Annotated[list[FactPattern], Meta(min_length=1, max_length=50)]
    enabled: bool = True
    min_severity: Severity = Severity.INFO
    environments: Labels = []
    group_ids: Labels = []
    tags: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=50)
    ] = []
    template_id: Label | None = None
    repeat_after_s: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=2_592_000,
                description="The same problem of the same object is told once in this time; absent:"
                " an hour for people, always for programs",
            ),
        ]
        | None
    ) = None
    tell_recovery: bool | None = None
    quiet: Quiet | None = None
    digest: DigestWanted | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule."""

    id: str
    name: str
    channel_id: str
    facts: list[str]
    enabled: bool
    min_severity: Severity
    environments: list[str]
    group_ids: list[str]
    tags: list[str]
    template_id: str | None = None
    repeat_after_s: int | None = None
    tell_recovery: bool | None = None
    quiet: QuietHours | None = None
    digest: Digest | None = None
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
    faults = [*_time_faults(data), *await _reference_faults(deps, data)]
    if faults:
        raise InvalidFieldsError("the rule cannot work", faults)
    given = msgspec.structs.asdict(data)
    quiet, digest = msgspec.to_builtins(data.quiet), msgspec.to_builtins(data.digest)
    return RuleSetting(
        **change.said_by(),
        **{
            **given,
            "quiet": msgspec.convert(quiet, QuietHours | None),
            "digest": msgspec.convert(digest, Digest | None),
        },
    )


def _time_faults(data: NewRule) -> Iterator[InputFault]:
    for name, part in (("quiet", data.quiet), ("digest", data.digest)):
        if part is not None and part.time_zone not in available_timezones():
            yield InputFault(f"/{name}/time_zone", "no such time zone")
    if data.quiet is not None and data.quiet.begins == data.quiet.ends:
        yield InputFault("/quiet/ends", "quiet hours of no length")


async def _reference_faults(deps: Dependencies, data: NewRule) -> list[InputFault]:
    channels, templates = notification_channels.c, notification_templates.c
    channel = await deps.read_model.one(
        select(channels.channel).where(channels.id == data.channel_id)
    )
    faults = []
    if channel is None:
        faults.append(InputFault("/channel_id", "no such channel"))
    if data.template_id is not None:
        query = select(templates.channel_kind).where(templates.id == data.template_id)
        template = await deps.read_model.one(query)
        if template is None:
            faults.append(InputFault("/template_id", "no such template"))
        elif channel is not None and channel.channel["kind"] != template.channel_kind:
            faults.append(InputFault("/template_id", "a template for another kind of channel"))
    if data.group_ids:
        groups = await deps.read_model.rows(
            select(server_groups.c.id).where(server_groups.c.id.in_(data.group_ids))
        )
        known = {row.id for row in groups}
        faults += [
            InputFault(f"/group_ids/{place}", "no such group")
            for place, one in enumerate(data.group_ids)
            if one not in known
        ]
    return faults


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
