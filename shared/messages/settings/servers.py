"""The settings of servers and databases."""

from __future__ import annotations

from shared.messages.base import CORE, Key, Setting
from shared.messages.values import Endpoint, PluginConfig


class ServerSetting(Setting, frozen=True, kw_only=True):
    """A place where databases live."""

    name: str
    environment: str = "production"
    pool: Key = CORE
    runner: PluginConfig
    endpoints: list[Endpoint]
    run_limit: int = 2
    group_ids: list[str] = []


class GroupSetting(Setting, frozen=True, kw_only=True):
    """A name that servers share: for scopes, schedules, quotas and rules."""

    name: str
    description: str = ""
    quota_bytes: int | None = None


class DatabaseSetting(Setting, frozen=True, kw_only=True):
    """What an operator decided about one database: which policy keeps its backups."""

    policy_id: str | None = None
    tags: list[str] = []
