"""The settings that say who hears what."""

from __future__ import annotations

from shared.messages.base import Setting
from shared.messages.values import PluginConfig


class ChannelSetting(Setting, frozen=True, kw_only=True):
    """Where notifications go."""

    name: str
    channel: PluginConfig
    enabled: bool = True


class RuleSetting(Setting, frozen=True, kw_only=True):
    """Which facts a channel hears: types, or a noun followed by `.*`."""

    name: str
    channel_id: str
    facts: list[str]
    enabled: bool = True
