"""Who wants to hear what."""

from __future__ import annotations

from collections.abc import Iterable

from shared.messages.settings import RuleSetting


def matches(pattern: str, fact_type: str) -> bool:
    """Whether `pattern`, a fact's type or a noun followed by `.*`, means `fact_type`."""
    if pattern.endswith(".*"):
        return fact_type.startswith(pattern[:-1])
    return pattern == fact_type


def wants(rules: Iterable[RuleSetting], channel_id: str, fact_type: str) -> bool:
    """Whether a rule sends facts of this type to the channel.

    Facts about notifications never go anywhere: each would cause the next.
    """
    if fact_type.startswith("notification."):
        return False
    return any(
        rule.enabled
        and rule.channel_id == channel_id
        and any(matches(pattern, fact_type) for pattern in rule.facts)
        for rule in rules
    )
