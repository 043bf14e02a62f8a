"""The settings of the platform itself."""

from __future__ import annotations

from shared.messages.base import Key, Setting, checked


class PlatformSetting(Setting, frozen=True, kw_only=True):
    """This installation (`cfg.platform.self`): written once at first start, public halves only."""

    origin: str
    audit_public_key: str
    platform_recipient: str
    recovery_recipient: str


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
