"""The settings of the platform itself."""

from __future__ import annotations

from shared.messages.base import Key, Setting, checked
from shared.messages.values import AuditHandover


class PlatformSetting(Setting, frozen=True, kw_only=True):
    """This installation (`cfg.platform.self`), public halves only: written at first start, and
    again when the key that archives are sealed to, or the audit key, has a successor."""

    origin: str
    audit_public_key: str
    platform_recipient: str
    recovery_recipient: str
    handovers: list[AuditHandover] = []

    @property
    def audit_keys(self) -> list[str]:
        """The audit key and all before it, in hex, the first one first."""
        return [*(one.old for one in self.handovers), self.audit_public_key]


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
