"""How many events of each type the log holds: a counter that is the same on every replica."""

from __future__ import annotations

import asyncio
from collections import Counter

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import func, select

from shared.metrics import ENDINGS
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import event_log


class EventCounts:
    """Counts what came since it counted last; the first time, all there is.

    Asked anew by every scrape: of two replicas with answers of different age the older one would
    look like a counter that began again.
    """

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._turn = asyncio.Lock()
        self._counts = Counter(dict.fromkeys(ENDINGS, 0))
        self._seq = 0

    async def family(self) -> Metric:
        """The counter by type; raises UnavailableError while it cannot be known."""
        async with self._turn:
            await self._count()
        family = CounterMetricFamily(
            "holdfast_events", "Events in the log, by type.", labels=["type"]
        )
        for kind, number in sorted(self._counts.items()):
            family.add_metric([kind], number)
        return family

    async def _count(self) -> None:
        words = [func.split_part(event_log.c.subject, ".", place) for place in (1, 2, 3)]
        query = (
            select(*words, func.count(), func.max(event_log.c.seq))
            .where(event_log.c.seq > self._seq)
            .group_by(*words)
        )
        for row in await self._read_model.rows(query):
            stream, noun, verb, number, last = tuple(row)
            self._seq = max(self._seq, last)
            if stream == "evt":
                self._counts[f"{noun}.{verb}"] += number
