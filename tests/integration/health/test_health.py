"""The health service with its own permissions on a real server, Postgres and a real auditor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from services.health.judgement import Answer
from services.health.probes import Probes
from services.health.service import HealthService
from services.health.watched import ReadModelServers
from shared.bus import Delivery
from shared.bus.base import COMMANDS
from shared.keys.worker import open_as_worker
from shared.messages.base import now
from shared.messages.facts import ServerHealthChanged
from shared.messages.orders import ProbeServer, ServerSecrets
from shared.messages.values import Health
from tests.integration.town import PASSWORD, Town, running
from tests.support.waiting import eventually


@asynccontextmanager
async def health(town: Town, replica: str = "one") -> AsyncIterator[asyncio.Task[None]]:
    """A health process: its own connection, its own memory."""
    async with town.nats.bus("health", gate=True) as bus:
        probes = Probes(bus, town.vault(bus))
        service = HealthService(bus, ReadModelServers(town.model), probes, clock_s=time.monotonic)
        async with running(service.listen(replica)) as task:
            yield task


async def worker(town: Town, seen: list[ProbeServer]) -> None:
    """Answers probes as an executor of the pool does."""

    async def on_order(delivery: Delivery) -> None:
        order = delivery.message
        assert isinstance(order, ProbeServer)
        opened = open_as_worker(order, town.worker_key, ServerSecrets)
        assert opened.engines["main"]["password"] == PASSWORD
        seen.append(order)
        answer = Answer(health=Health.HEALTHY, at=now(), versions={"main": "16.4"})
        key = f"probe.core.{order.server_id}"
        await town.executor.kv("beats").put(key, msgspec.json.encode(answer))

    await town.executor.work("executor-core-server", COMMANDS, ["cmd.server.*.core.>"], on_order)


async def test_a_new_server_is_probed_and_its_health_is_said_once(town: Town) -> None:
    seen: list[ProbeServer] = []
    async with running(worker(town, seen)), health(town):
        fact = await town.heard(ServerHealthChanged, town.server_id)

        async def visible() -> bool:
            row = await town.model.one(_health_of(town))
            return bool(row and row.health == "healthy")

        await eventually(visible)

    assert (fact.was, fact.health) == (Health.UNKNOWN, Health.HEALTHY)
    assert seen


async def test_a_successor_neither_probes_again_this_minute_nor_repeats_the_fact(
    town: Town,
) -> None:
    seen: list[ProbeServer] = []
    async with running(worker(town, seen)):
        async with health(town):
            await town.heard(ServerHealthChanged, town.server_id)
        before = await town.last_seq()
        async with health(town, "two"):
            await eventually(lambda: holder(town, "two"))
            await asyncio.sleep(1.0)

    assert await town.last_seq() == before
    assert len({order.id for order in seen}) == len(seen)


async def holder(town: Town, replica: str) -> bool:
    entry = await town.gateway.kv("leases").get("health")
    return entry is not None and entry.value == replica.encode()


def _health_of(town: Town):  # type: ignore[no-untyped-def]  # a Select
    from sqlalchemy import select

    from shared.readmodel.tables import servers

    return select(servers.c.health).where(servers.c.id == str(town.server_id))
