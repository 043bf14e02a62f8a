"""Settings: what somebody configured. Each is the whole new state, on `cfg.<noun>.<key>`."""

from __future__ import annotations

from typing import TypeAlias

from shared.keys.sealed import Sealed
from shared.messages.base import CORE, Key, Setting, checked
from shared.messages.values import Endpoint, PluginConfig, Role


class PlatformSetting(Setting, frozen=True, kw_only=True):
    """This installation (`cfg.platform.self`): written once at first start, public halves only."""

    origin: str
    audit_public_key: str
    platform_recipient: str
    recovery_recipient: str


class UserSetting(Setting, frozen=True, kw_only=True):
    """An account. Its name, address and password hash are sealed under one key per person."""

    name: Sealed
    email: Sealed
    password_hash: Sealed
    role: Role
    disabled: bool = False


class ServerSetting(Setting, frozen=True, kw_only=True):
    """A place where databases live."""

    name: str
    environment: str = "production"
    pool: Key = CORE
    runner: PluginConfig
    endpoints: list[Endpoint]
    run_limit: int = 2


class StoreSetting(Setting, frozen=True, kw_only=True):
    """A place where archives live."""

    name: str
    tier: str = "hot"
    region: str = ""
    quota_bytes: int | None = None
    store: PluginConfig


class PolicySetting(Setting, frozen=True, kw_only=True):
    """What to keep: the newest `keep_last` good backups of each database."""

    name: str
    keep_last: int


class DatabaseSetting(Setting, frozen=True, kw_only=True):
    """What an operator decided about one database: which policy keeps its backups."""

    policy_id: str | None = None
    tags: list[str] = []


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


class ClaimSetting(Setting, frozen=True, kw_only=True):
    """The holder of a unique name. Key: hash of noun and name; first write expects 0."""

    noun: str
    holder: str

    @property
    def subject(self) -> str:
        """`cfg.claim.<key>`, whatever noun is claimed."""
        return f"cfg.claim.{checked(self.key)}"


class SettingRemoved(Setting, frozen=True, kw_only=True, tag="setting.removed"):
    """The deletion of a setting: the last message of its subject from then on."""

    of: Key

    @property
    def noun(self) -> str:
        return self.of


AnySetting: TypeAlias = (
    PlatformSetting
    | UserSetting
    | ServerSetting
    | StoreSetting
    | PolicySetting
    | DatabaseSetting
    | ChannelSetting
    | RuleSetting
    | ClaimSetting
    | SettingRemoved
)
