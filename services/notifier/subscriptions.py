"""The channels and rules as they stood when a fact was said, or later."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import Row, select

from services.notifier.place import place_of
from services.notifier.rules import Listener, Rule, Subscription, Template, subscriptions
from shared.messages.base import Fact
from shared.messages.values import Digest, QuietHours, Severity
from shared.messages.wire import PoisonError, decode
from shared.notices.about import About
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import (
    event_log,
    notification_channels,
    notification_rules,
    notification_templates,
)

FRESH_S = 0.5
"""How long what was read is taken for what stands, when it includes the fact's event."""


class Subscriptions(Protocol):
    """Where the notifier looks before it tells anybody."""

    async def to(self, fact: Fact, seq: int) -> list[Subscription]:
        """The rules that may have to do with `fact`, on a state that includes the event `seq`.

        Raises NotProjectedError, which is retryable, while that state is not there.
        """

    async def about(self, fact: Fact) -> About:
        """What the fact is about; empty as far as nothing is known."""

    async def channel(self, channel_id: str, seq: int) -> Listener | None:
        """A channel, also one that is off, on a state that includes the event `seq`."""

    async def listening(self, channel_id: str) -> Listener | None:
        """A channel that is on now."""

    async def template(self, rule_id: str) -> Template | None:
        """The words of a rule, if it has some of its own."""

    async def fact(self, fact_id: UUID) -> Fact | None:
        """A fact that was said once."""


class Known(msgspec.Struct, frozen=True):
    """What was read, when, and up to which event it is complete."""

    seq: int
    read_at: float
    listeners: list[Listener]
    rules: list[Rule]


class ReadModelSubscriptions:
    """Subscriptions from Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._known = Known(-1, 0.0, [], [])
        self._reading = asyncio.Lock()

    async def to(self, fact: Fact, seq: int) -> list[Subscription]:
        known = await self._at_least(seq)
        return subscriptions(known.listeners, known.rules, fact)

    async def about(self, fact: Fact) -> About:
        return await place_of(self._read_model, fact)

    async def channel(self, channel_id: str, seq: int) -> Listener | None:
        await self._read_model.at_least(seq)
        query = select(notification_channels).where(notification_channels.c.id == channel_id)
        row = await self._read_model.one(query)
        return _listener(row) if row else None

    async def listening(self, channel_id: str) -> Listener | None:
        on = notification_channels.c.enabled & notification_channels.c.disabled_at.is_(None)
        query = select(notification_channels).where(notification_channels.c.id == channel_id, on)
        row = await self._read_model.one(query)
        return _listener(row) if row else None

    async def template(self, rule_id: str) -> Template | None:
        rows = await self._rules(notification_rules.c.id == rule_id)
        return rows[0].template if rows else None

    async def fact(self, fact_id: UUID) -> Fact | None:
        query = select(event_log.c.data).where(event_log.c.event_id == str(fact_id))
        row = await self._read_model.one(query)
        try:
            found = decode(row.data) if row else None
        except PoisonError:
            return None
        return found if isinstance(found, Fact) else None

    async def _at_least(self, seq: int) -> Known:
        """Read anew unless that was done a moment ago: facts come in bursts, in several slots."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._known.seq < seq or now - self._known.read_at > FRESH_S:
                await self._read_model.at_least(seq)
                position = await self._read_model.position()
                rules = await self._rules(notification_rules.c.enabled)
                listeners = await self._listeners() if rules else []
                self._known = Known(position, now, listeners, rules)
            return self._known

    async def _rules(self, condition: Any) -> list[Rule]:
        words = notification_templates.c
        query = (
            select(notification_rules, words.title, words.body)
            .join_from(
                notification_rules,
                notification_templates,
                words.id == notification_rules.c.template_id,
                isouter=True,
            )
            .where(condition)
            .order_by(notification_rules.c.created_at, notification_rules.c.id)
        )
        return [_rule(row) for row in await self._read_model.rows(query)]

    async def _listeners(self) -> list[Listener]:
        on = notification_channels.c.enabled & notification_channels.c.disabled_at.is_(None)
        rows = await self._read_model.rows(select(notification_channels).where(on))
        return [_listener(row) for row in rows]


def _listener(row: Row[Any]) -> Listener:
    return Listener(id=row.id, channel=row.channel, since=row.created_at, version=row.version)


def _rule(row: Row[Any]) -> Rule:
    return Rule(
        id=row.id,
        channel_id=row.channel_id,
        facts=row.facts,
        since=row.created_at,
        min_severity=Severity(row.min_severity),
        environments=row.environments,
        group_ids=row.group_ids,
        tags=row.tags,
        repeat_after_s=row.repeat_after_s,
        tell_recovery=row.tell_recovery,
        quiet=msgspec.convert(row.quiet, QuietHours | None),
        digest=msgspec.convert(row.digest, Digest | None),
        template=Template(title=row.title, body=row.body) if row.body is not None else None,
    )
