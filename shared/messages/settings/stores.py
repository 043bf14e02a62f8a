"""The settings of stores."""

from __future__ import annotations

from shared.messages.base import Setting
from shared.messages.values import PluginConfig


class StoreSetting(Setting, frozen=True, kw_only=True):
    """A place where archives live."""

    name: str
    tier: str = "hot"
    region: str = ""
    quota_bytes: int | None = None
    store: PluginConfig
