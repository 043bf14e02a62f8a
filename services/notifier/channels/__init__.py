"""The channels: one file per kind, one name in the union."""

from __future__ import annotations

from typing import TypeAlias, get_args

import msgspec

from services.notifier.channels.base import Channel, ChannelSettingsError
from services.notifier.channels.email import Email
from services.notifier.channels.slack import Slack
from services.notifier.channels.webhook import Webhook

AnyChannel: TypeAlias = Slack | Email | Webhook

_decoder: msgspec.json.Decoder[AnyChannel] = msgspec.json.Decoder(AnyChannel)


_for_people: dict[str, bool] = {
    member.__struct_config__.tag: member.FOR_PEOPLE for member in get_args(AnyChannel)
}


def for_people(kind: str) -> bool:
    """Whether a channel of the kind is read by people; what is not known is taken for a program."""
    return _for_people.get(kind, False)


def open_channel(config: bytes) -> Channel:
    """The channel a JSON configuration describes; raises ChannelSettingsError."""
    try:
        return _decoder.decode(config)
    except msgspec.DecodeError as error:
        raise ChannelSettingsError(f"the channel's configuration is wrong: {error}") from None


__all__ = ["AnyChannel", "Channel", "Email", "Slack", "Webhook", "for_people", "open_channel"]
