"""The state of the whole installation as metrics: the same whichever replica is asked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from operator import itemgetter
from typing import Any, cast

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import Row, Select, func, select, union_all

from services.gateway.beats import Beats
from services.gateway.event_counts import EventCounts
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS, Entry
from shared.objectives import Protected, Standing, databases_of, judged, objectives_of
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import (
    COPIED,
    STANDING,
    archives,
    audit_checkpoints,
    backups,
    runs,
    servers,
    stores,
)

FRESH_S = 10.0
"""Several scrapers within so long share one look."""
LABELLED = 1000
"""How many databases have a line of their own; the others only count."""
_OPEN = ("requested", "dispatched", "running")


class Monitoring:
    """Looks at the read model and the log when it is asked."""

    def __init__(self, bus: Bus, read_model: ReadModel, clock: Callable[[], datetime]) -> None:
        self._bus, self._read_model, self._clock = bus, read_model, clock
        self._counts, self._beats = EventCounts(read_model), Beats(bus)
        self._turn = asyncio.Lock()
        self._seen: list[Metric] = []
        self._seen_s = -FRESH_S

    async def families(self) -> list[Metric]:
        """The metrics, at most FRESH_S old; raises UnavailableError while they cannot be known."""
        return [*await self._state(), await self._counts.family()]

    async def alive(self) -> list[Entry]:
        """The last beat of each process that is not known to be gone."""
        return await self._beats.alive()

    async def _state(self) -> list[Metric]:
        async with self._turn:
            if time.monotonic() - self._seen_s >= FRESH_S:
                known = await databases_of(self._read_model)
                self._seen = [
                    *await self._log(),
                    await self._queue(),
                    *self._backups(known),
                    *await self._stores(),
                    await self._servers(),
                    await self._objectives(known),
                    await self._services(),
                ]
                self._seen_s = time.monotonic()
            return self._seen

    async def _log(self) -> list[Metric]:
        lag, seconds = await self.lag()
        checkpoint = await self._read_model.one(select(func.max(audit_checkpoints.c.at)))
        families: list[Metric] = [
            _one("holdfast_projection_lag_events", "Events not projected yet.", lag),
            _one("holdfast_projection_lag_seconds", "Age of the first of them.", seconds),
        ]
        if checkpoint is not None and checkpoint[0] is not None:
            age = self._age(checkpoint[0])
            text = "Age of the newest signed checkpoint of the audit log."
            families.append(_one("holdfast_audit_checkpoint_age_seconds", text, age))
        return families

    async def lag(self) -> tuple[int, float]:
        """How many events are not projected yet, and how old the first of them is."""
        state, position = await self._bus.state(EVENTS), await self._read_model.position()
        lag = max(0, state.last_seq - position)
        if not lag:
            return 0, 0.0
        following = cast(
            "AsyncGenerator[Delivery, None]", self._bus.follow(EVENTS, after_seq=position)
        )
        # An event that is not there to be read (its stream was cut, say) has no age to tell.
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0), aclosing(following):
                async for delivery in following:
                    return lag, self._age(delivery.at)
        return lag, 0.0

    async def _queue(self) -> Metric:
        query = (
            select(runs.c.kind, runs.c.status, runs.c.pool, func.count().label("number"))
            .where(runs.c.status.in_(_OPEN))
            .group_by(runs.c.kind, runs.c.status, runs.c.pool)
        )
        family = GaugeMetricFamily(
            "holdfast_runs_open",
            "Runs that have not ended; `requested` ones wait in the queue.",
            labels=["kind", "status", "pool"],
        )
        counted = {
            (kind, status, "core"): 0 for kind in ("backup", "restore") for status in _OPEN
        } | {(row.kind, row.status, row.pool): row.number for row in await self._rows(query)}
        for labels, count in counted.items():
            family.add_metric(labels, count)
        return family

    def _backups(self, known: Sequence[Protected]) -> list[Metric]:
        good = [(one.good_at, one) for one in known if one.good_at is not None]
        ages = GaugeMetricFamily(
            "holdfast_backup_age_seconds",
            "Age of the data in the last good backup, per database; the oldest ones only.",
            labels=["database_id", "database", "server"],
        )
        for at, one in sorted(good, key=itemgetter(0))[:LABELLED]:
            ages.add_metric([str(one.id), one.name, one.server], self._age(at))
        return [
            ages,
            _one("holdfast_databases", "Known databases.", len(known)),
            _one(
                "holdfast_databases_without_backup",
                "Known databases that have no good backup.",
                len(known) - len(good),
            ),
        ]

    async def _stores(self) -> list[Metric]:
        parts = union_all(
            select(backups.c.store_id, backups.c.stored_bytes).where(
                backups.c.status.in_(STANDING)
            ),
            select(archives.c.store_id, archives.c.stored_bytes).where(
                archives.c.status.in_(COPIED)
            ),
        ).subquery()
        used = (
            select(
                parts.c.store_id,
                func.sum(parts.c.stored_bytes).label("bytes"),
                func.count().label("number"),
            )
            .group_by(parts.c.store_id)
            .subquery()
        )
        query = select(
            stores.c.id, stores.c.name, stores.c.quota_bytes, used.c.bytes, used.c.number
        ).outerjoin(used, used.c.store_id == stores.c.id)
        labels = ["store_id", "store"]
        taken = GaugeMetricFamily("holdfast_store_bytes", "Bytes of archives.", labels=labels)
        count = GaugeMetricFamily("holdfast_store_archives", "Archives.", labels=labels)
        quota = GaugeMetricFamily("holdfast_store_quota_bytes", "Where one is set.", labels=labels)
        for row in await self._rows(query):
            taken.add_metric([row.id, row.name], float(row.bytes or 0))
            count.add_metric([row.id, row.name], row.number or 0)
            if row.quota_bytes is not None:
                quota.add_metric([row.id, row.name], row.quota_bytes)
        return [taken, count, quota]

    async def _servers(self) -> Metric:
        query = select(servers.c.health, func.count().label("number")).group_by(servers.c.health)
        counted = Counter(dict.fromkeys(("healthy", "degraded", "unreachable", "unknown"), 0))
        for row in await self._rows(query):
            counted[row.health] += row.number
        family = GaugeMetricFamily("holdfast_servers", "Servers by health.", labels=["health"])
        for health, number in counted.items():
            family.add_metric([health], number)
        return family

    async def _objectives(self, known: Sequence[Protected]) -> Metric:
        wanted = await objectives_of(self._read_model)
        counted = {(one.name, standing.value): 0 for one in wanted for standing in Standing}
        for one in judged(known, wanted, self._clock()):
            counted[one.objective.name, one.standing.value] += 1
        family = GaugeMetricFamily(
            "holdfast_objective_databases",
            "Databases under each objective, by how they stand to it.",
            labels=["objective", "status"],
        )
        for labels, number in counted.items():
            family.add_metric(labels, number)
        return family

    async def _services(self) -> Metric:
        family = GaugeMetricFamily(
            "holdfast_service_replicas", "Processes that beat lately.", labels=["service"]
        )
        alive = await self.alive()
        for service, number in sorted(Counter(one.key.split(".")[1] for one in alive).items()):
            family.add_metric([service], number)
        return family

    async def _rows(self, query: Select[Any]) -> list[Row[Any]]:
        return list(await self._read_model.rows(query))

    def _age(self, at: datetime) -> float:
        return max(0.0, (self._clock() - at).total_seconds())


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
