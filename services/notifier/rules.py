"""Who wants to hear what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from shared.messages.base import Fact
from shared.messages.values import PluginConfig


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that is on, and since when there is one of its id."""

    id: str
    channel: PluginConfig
    since: datetime


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that is on: the channel hears these facts, from `since` on."""

    channel_id: str
    facts: list[str]
    since: datetime


def hearers(listeners: Iterable[Listener], rules: Iterable[Rule], fact: Fact) -> list[Listener]:
    """The channels that are to hear `fact`.

    What was said before the channel or its rule was made is no business of theirs. Facts about
    notifications never go anywhere: each would cause the next.
    """
    if fact.type.startswith("notification."):
        return []
    called = {
        rule.channel_id
        for rule in rules
        if rule.since < fact.at and any(matches(pattern, fact.type) for pattern in rule.facts)
    }
    return [one for one in listeners if one.id in called and one.since < fact.at]


def matches(pattern: str, fact_type: str) -> bool:
    """Whether `pattern`, a fact's type or a noun followed by `.*`, means `fact_type`."""
    if pattern.endswith(".*"):
        return fact_type.startswith(pattern[:-1])
    return pattern == fact_type
