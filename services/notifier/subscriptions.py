"""The channels and rules as they stood when a fact was said, or later."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import select

from services.notifier.rules import Listener, Rule, hearers
from shared.messages.base import Fact
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import notification_channels, notification_rules


class Subscriptions(Protocol):
    """Where the notifier looks before it tells anybody."""

    async def hearers(self, fact: Fact, seq: int) -> list[Listener]:
        """Who is to hear `fact`, on a state that includes the event `seq`.

        Raises NotProjectedError, which is retryable, while that state is not there.
        """


class ReadModelSubscriptions:
    """Subscriptions from Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def hearers(self, fact: Fact, seq: int) -> list[Listener]:
        await self._read_model.at_least(seq)
        rules = await self._rules()
        return hearers(await self._listeners(), rules, fact) if rules else []

    async def _rules(self) -> list[Rule]:
        table = notification_rules.c
        query = select(table.channel_id, table.facts, table.created_at).where(table.enabled)
        return [
            Rule(channel_id=row.channel_id, facts=row.facts, since=row.created_at)
            for row in await self._read_model.rows(query)
        ]

    async def _listeners(self) -> list[Listener]:
        table = notification_channels.c
        query = select(table.id, table.channel, table.created_at).where(table.enabled)
        return [
            Listener(id=row.id, channel=row.channel, since=row.created_at)
            for row in await self._read_model.rows(query)
        ]
