"""The settings that say who hears what, when, and in which words."""

from __future__ import annotations

from shared.messages.base import Setting
from shared.messages.values import Digest, PluginConfig, QuietHours, Severity


class ChannelSetting(Setting, frozen=True, kw_only=True):
    """Where notifications go."""

    name: str
    channel: PluginConfig
    enabled: bool = True


class RuleSetting(Setting, frozen=True, kw_only=True):
    """Which facts a channel hears: types, or a noun followed by `.*`, at least so severe.

    Where `environments`, `group_ids` or `tags` are named, only facts about a server or database
    that is of one of each. The same problem of the same object is told once in `repeat_after_s`,
    and `tell_recovery` says when it is over; None: as suits the channel's kind. What happens in
    `quiet` hours waits for their end, unless it is critical; with a `digest` everything waits.
    """

    name: str
    channel_id: str
    facts: list[str]
    enabled: bool = True
    min_severity: Severity = Severity.INFO
    environments: list[str] = []
    group_ids: list[str] = []
    tags: list[str] = []
    template_id: str | None = None
    repeat_after_s: int | None = None
    tell_recovery: bool | None = None
    quiet: QuietHours | None = None
    digest: Digest | None = None


class TemplateSetting(Setting, frozen=True, kw_only=True):
    """The words of notes for channels of one kind; `title` counts where the kind has one."""

    name: str
    channel_kind: str
    body: str
    title: str = ""
