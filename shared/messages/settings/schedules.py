"""The settings that say when, and what to keep."""

from __future__ import annotations

from shared.messages.base import Setting


class PolicySetting(Setting, frozen=True, kw_only=True):
    """What to keep: the newest `keep_last` good backups of each database."""

    name: str
    keep_last: int
