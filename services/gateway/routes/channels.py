"""Channels: where notifications go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select

from services.gateway.configured import Change, Noun
from services.gateway.crud import Crud, routes_of
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InUseError
from services.gateway.plugin_configs import NOTHING, Stored, accepted, sealed
from services.gateway.representations import Input, Name, convert
from services.gateway.rights import Right
from shared.keys.plugins import without_secrets
from shared.messages.settings import ChannelSetting
from shared.messages.values import PluginConfig, Problem
from shared.readmodel.tables import notification_channels, notification_rules

PATH = "/notifications/channels"


class NewChannel(Input, frozen=True, kw_only=True):
    """A channel as a caller describes it. `channel` is described by `GET /plugins`."""

    name: Name
    channel: PluginConfig
    enabled: bool = True

    def __repr__(self) -> str:
        return f"NewChannel(name={self.name!r})"


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, without its secrets.

    `disabled_at`: since then its receiver wants no more; it is used again once it is replaced.
    """

    id: str
    name: str
    channel: PluginConfig
    enabled: bool
    disabled_at: datetime | None = None
    disabled_problem: Problem | None = None
    created_at: datetime
    updated_at: datetime
    version: int


def channel_of(row: Row[Any]) -> Channel:
    """A row as the API shows it."""
    return convert(row, Channel, channel=without_secrets(row.channel))


CHANNEL = Noun("channel", notification_channels, "/notifications/channels", channel_of)


async def _setting(
    deps: Dependencies, change: Change, data: NewChannel, before: Row[Any] | None
) -> ChannelSetting:
    old = Stored(before.channel) if before else NOTHING
    config, schema = await accepted(deps, "channel", data.channel, "/channel", old)
    return ChannelSetting(
        **change.said_by(),
        name=data.name,
        channel=await sealed(deps, f"cfg.channel.{change.key}", "channel", config, schema),
        enabled=data.enabled,
    )


async def _refuse_used(deps: Dependencies, row: Row[Any]) -> None:
    using = select(notification_rules.c.id).where(notification_rules.c.channel_id == row.id)
    if await deps.read_model.one(using.limit(1)) is not None:
        raise InUseError("a rule names this channel", fix="delete its rules first")


ROUTES = routes_of(
    Crud(
        noun=CHANNEL,
        plural="channels",
        tag="notifications",
        given=NewChannel,
        shown=Channel,
        read=Right.NOTIFICATIONS_READ,
        write=Right.NOTIFICATIONS_WRITE,
        setting=_setting,
        removable=_refuse_used,
        says={
            "list": "List the channels by name.",
            "create": "Register a channel; it hears nothing until a rule names it.",
            "get": "Show one channel.",
            "replace": "Replace a channel. An absent secret keeps the stored one while the settings"
            " beside it stay the same. A channel that was disabled is tried again.",
            "delete": "Delete a channel that no rule names.",
        },
    )
)
