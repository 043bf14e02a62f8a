"""Who wants to hear what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from shared.messages.base import Fact
from shared.messages.values import Digest, PluginConfig, QuietHours, Severity
from shared.notices.about import About
from shared.notices.severity import at_least, severity_of


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that is on, and since when there is one of its id."""

    id: str
    channel: PluginConfig
    since: datetime
    version: int = 0


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """The words of a rule's notes."""

    title: str
    body: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that is on: the channel hears these facts, from `since` on."""

    id: str = ""
    channel_id: str
    facts: list[str]
    since: datetime
    min_severity: Severity = Severity.INFO
    environments: list[str] = []
    group_ids: list[str] = []
    tags: list[str] = []
    repeat_after_s: int | None = None
    tell_recovery: bool | None = None
    quiet: QuietHours | None = None
    digest: Digest | None = None
    template: Template | None = None


class Subscription(msgspec.Struct, frozen=True):
    """A rule, and the channel that it names."""

    rule: Rule
    listener: Listener


def subscriptions(
    listeners: Iterable[Listener], rules: Iterable[Rule], fact: Fact
) -> list[Subscription]:
    """The rules that may have to do with `fact`, by what does not depend on its place.

    What was said before the channel or its rule was made is no business of theirs. Facts about
    notifications never go anywhere: each would cause the next.
    """
    if fact.type.startswith(("notification.", "redelivery.", "channel.test_")):
        return []
    known = {one.id: one for one in listeners}
    return [
        Subscription(rule, known[rule.channel_id])
        for rule in rules
        if rule.channel_id in known
        and rule.since < fact.at
        and known[rule.channel_id].since < fact.at
    ]


def within(rule: Rule, about: About) -> bool:
    """Whether the rule is about such a place. A fact without a place is of no environment."""
    return (
        (not rule.environments or about.environment in rule.environments)
        and (not rule.group_ids or bool({*rule.group_ids} & {*about.group_ids}))
        and (not rule.tags or bool({*rule.tags} & {*about.tags}))
    )


def wants(rule: Rule, fact: Fact) -> bool:
    """Whether the rule names the fact's type and severity."""
    return any(matches(pattern, fact.type) for pattern in rule.facts) and at_least(
        severity_of(fact), rule.min_severity
    )


def matches(pattern: str, fact_type: str) -> bool:
    """Whether `pattern`, a fact's type or a noun followed by `.*`, means `fact_type`."""
    if pattern.endswith(".*"):
        return fact_type.startswith(pattern[:-1])
    return pattern == fact_type
