"""Channels: where notifications go."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.configured import Change, Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InUseError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit, all_by_name
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.plugin_configs import NOTHING, Stored, accepted, sealed
from services.gateway.representations import Input, Name, convert
from services.gateway.rights import Right
from shared.keys.plugins import without_secrets
from shared.messages.settings import ChannelSetting
from shared.messages.values import PluginConfig
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
    """A channel, without its secrets."""

    id: str
    name: str
    channel: PluginConfig
    enabled: bool
    created_at: datetime
    updated_at: datetime
    version: int


def channel_of(row: Row[Any]) -> Channel:
    """A row as the API shows it."""
    return convert(row, Channel, channel=without_secrets(row.channel))


CHANNEL = Noun("channel", notification_channels, "/notifications/channels", channel_of)


@get(
    PATH,
    opt={"right": Right.NOTIFICATIONS_READ},
    tags=["notifications"],
    operation_id="list_channels",
)
async def list_channels(
    deps: Deps, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Channel]:
    """List the channels by name."""
    return await all_by_name(deps, notification_channels, limit, cursor, channel_of)


@post(
    PATH,
    opt={"right": Right.NOTIFICATIONS_WRITE},
    tags=["notifications"],
    operation_id="create_channel",
    status_code=201,
)
async def create_channel(
    data: JSONBody[NewChannel], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Channel]:
    """Register a channel; it hears nothing until a rule names it."""

    async def create(thing: UUID) -> Answer:
        change = configured.creating(thing, caller)

        async def make() -> ChannelSetting:
            return await _setting(deps, change, data, None)

        return await configured.create(deps, CHANNEL, change, data.name, make)

    return await once(request, deps, caller, create)


@get(
    PATH + "/{channel_id:uuid}",
    opt={"right": Right.NOTIFICATIONS_READ},
    tags=["notifications"],
    operation_id="get_channel",
)
async def get_channel(channel_id: FromPath[UUID], deps: Deps) -> Response[Channel]:
    """Show one channel."""
    return configured.shown(await configured.row_of(deps, CHANNEL, str(channel_id)), CHANNEL)


@put(
    PATH + "/{channel_id:uuid}",
    opt={"right": Right.NOTIFICATIONS_WRITE},
    tags=["notifications"],
    operation_id="replace_channel",
)
async def replace_channel(
    channel_id: FromPath[UUID],
    data: JSONBody[NewChannel],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Channel]:
    """Replace a channel. An absent secret keeps the stored one while the settings beside it stay
    the same."""
    row = await configured.current(deps, CHANNEL, str(channel_id), request)
    setting = await _setting(deps, configured.changing(channel_id, caller), data, row)
    return await configured.replace(deps, CHANNEL, row, setting, data.name)


@delete(
    PATH + "/{channel_id:uuid}",
    opt={"right": Right.NOTIFICATIONS_WRITE},
    tags=["notifications"],
    operation_id="delete_channel",
    status_code=204,
)
async def delete_channel(
    channel_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Delete a channel that no rule names."""
    row = await configured.current(deps, CHANNEL, str(channel_id), request)
    using = select(notification_rules.c.id).where(notification_rules.c.channel_id == row.id)
    if await deps.read_model.one(using.limit(1)) is not None:
        raise InUseError("a rule names this channel", fix="delete its rules first")
    await configured.remove(deps, CHANNEL, row, caller)


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


ROUTES = [
    list_channels,
    create_channel,
    get_channel,
    replace_channel,
    delete_channel,
]
