"""What each rule makes of a fact: told at once, held back, counted, or none of its business."""

from __future__ import annotations

from datetime import datetime

import msgspec

from services.notifier.channels import for_people
from services.notifier.holding import due
from services.notifier.memory import Held, Memory
from services.notifier.rules import Subscription, wants, within
from services.notifier.troubles import Answer, Topic, answer, topic_of
from shared.messages.base import Fact
from shared.notices.about import About
from shared.notices.severity import severity_of
from shared.notices.wording import values_of

REPEAT_AFTER_S = 3600
"""For people, unless the rule says otherwise; a program hears each fact."""

PLAIN = Answer(tell=True)


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that a channel is to be told, and how. `due`: not before then, with others."""

    subscription: Subscription
    answer: Answer
    due: datetime | None


class Deciding:
    """Applies rules to facts. The same fact is decided the same again, as long as it is told."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def decided(
        self, fact: Fact, seq: int, about: About, subscriptions: list[Subscription]
    ) -> list[Decided]:
        """What to tell at once, one for each channel; what waits is kept in the memory."""
        found: dict[str, Decided] = {}
        for subscription in subscriptions:
            if not within(subscription.rule, about):
                continue
            told = await self._answer(fact, seq, about, subscription)
            if told is None or not told.tell:
                continue
            rule = subscription.rule
            at = due(fact.at, severity_of(fact), rule.quiet, rule.digest)
            one = Decided(subscription=subscription, answer=told, due=at)
            known = found.get(rule.channel_id)
            if known is None or (known.due is not None and at is None):
                found[rule.channel_id] = one
        for one in found.values():
            if one.due is not None:
                await self._hold(fact, about, one, one.due)
        return [one for one in found.values() if one.due is None]

    async def _answer(
        self, fact: Fact, seq: int, about: About, subscription: Subscription
    ) -> Answer | None:
        """None: the rule does not want the fact, nor does it end a trouble that it told."""
        rule, topic = subscription.rule, topic_of(fact, about)
        people = for_people(str(subscription.listener.channel.get("kind")))
        repeat_after_s = rule.repeat_after_s
        if repeat_after_s is None:
            repeat_after_s = REPEAT_AFTER_S if people else 0
        recovery = people if rule.tell_recovery is None else rule.tell_recovery
        wanted = wants(rule, fact)
        if topic is not None and topic.failed and wanted and (repeat_after_s or recovery):
            return await self._remembered(fact, seq, topic, rule.id, repeat_after_s)
        if topic is not None and not topic.failed and recovery:
            over = await self._remembered(fact, seq, topic, rule.id, repeat_after_s)
            if over.tell:
                return over
        return PLAIN if wanted else None

    async def _remembered(
        self, fact: Fact, seq: int, topic: Topic, rule_id: str, repeat_after_s: int
    ) -> Answer:
        while True:
            before, revision = await self._memory.trouble(rule_id, topic.key)
            made = answer(fact.at, seq, topic, before, repeat_after_s)
            if made.trouble is None or made.trouble == before:
                return made
            if await self._memory.keep(rule_id, topic.key, made.trouble, revision):
                return made

    async def _hold(self, fact: Fact, about: About, one: Decided, at: datetime) -> None:
        values = values_of(fact, about, recovered=one.answer.recovered, count=one.answer.count)
        rule = one.subscription.rule
        held = Held(channel_id=rule.channel_id, values={**values, "data": {}})
        await self._memory.hold(rule.id, fact.id, at, held)
