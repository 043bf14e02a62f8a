"""A damaged stream: the alarm, writes held, a repair, and nothing lost, sent or begun twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from services.auditor.line import line
from services.auditor.repair import Repaired, Workshop, repair
from services.auditor.soundness import check_event_log
from services.auditor.writer import connected
from shared.audit.merkle import root_of
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.bus.bootstrap import bootstrap
from shared.bus.gate import ASK_AGAIN_S
from shared.bus.jetstream import connect
from shared.errors import PlatformError, UnavailableError
from shared.messages.base import Fact
from tests.integration.auditor.damage import WAYS, blocks, fill, flip
from tests.integration.auditor.house import KEY, House
from tests.support.waiting import eventually
from tests.unit.auditor.events import backup_requested, backup_story

PLACES = {"first": 0, "middle": 1, "last": -1}


class Durable:
    """What a service heard, by the ids of the events; it lives through repairs as services do."""

    def __init__(self, name: str, pattern: str) -> None:
        self.name, self.pattern = name, pattern
        self.heard: list[UUID] = []

    async def _hear(self, delivery: Delivery) -> None:
        self.heard.append(delivery.message.id)

    async def work(self, bus: Bus) -> None:
        while True:
            try:
                await bus.work(self.name, EVENTS, [self.pattern], self._hear)
            except* PlatformError:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def listening(house: House) -> AsyncIterator[tuple[Durable, Durable]]:
    """A notifier, which hears all facts, and a scheduler, which hears requests."""
    pair = Durable("notifier", "evt.>"), Durable("scheduler", "evt.backup.requested.core.>")
    async with connect(house.bus_settings, source="test") as bus, asyncio.TaskGroup() as group:
        tasks = [group.create_task(durable.work(bus)) for durable in pair]
        yield pair
        for task in tasks:
            task.cancel()


async def floors_saved(house: House, seq: int) -> None:
    async def saved() -> bool:
        count = "SELECT count(*) FROM consumer_floors WHERE floor >= $1"
        return await house.ask_postgres(count, seq) == 2

    await eventually(saved, within=10)


async def repaired(house: House, folder: Path, cause: str) -> Repaired:
    async with connected(house.database) as connection, line(house.bus_settings) as own:
        return await repair(Workshop(house.bus, own, connection, KEY, folder), cause=cause)


async def root_of_first(house: House, count: int) -> bytes:
    async with connected(house.database) as connection:
        rows = await connection.fetch(
            "SELECT leaf_hash FROM audit_logs WHERE n < $1 ORDER BY n", count
        )
    assert len(rows) == count
    return root_of(row["leaf_hash"] for row in rows)


async def in_the_stream(house: House) -> list[UUID]:
    last = (await house.bus.state(EVENTS)).last_seq
    found: list[UUID] = []
    async for delivery in house.bus.follow(EVENTS, after_seq=0):
        found.append(delivery.message.id)
        assert delivery.seq == len(found)
        if delivery.seq == last:
            return found
    raise AssertionError("unreachable")


async def is_held(house: House, gated: Bus) -> None:
    """An append through the gate does not land; an open gate asks again every ASK_AGAIN_S."""
    await asyncio.sleep(ASK_AGAIN_S + 0.5)
    refused = backup_requested("must not be stored while the log is damaged")
    with pytest.raises((UnavailableError, TimeoutError)):
        await asyncio.wait_for(gated.append(refused), 1)


async def survive(house: House, folder: Path, place: str, way: str, forked: int) -> None:
    """One damage, from the first event to the last check."""
    async with (
        house.auditor(restarted=True, check_every_s=1.0, scrub_every_s=1.0),
        connect(house.bus_settings, source="gateway") as gated,
        listening(house) as (notifier, scheduler),
    ):
        await house.trusted()
        said = await fill(house)
        before = (await house.bus.state(EVENTS)).last_seq
        await house.projected(before)
        await eventually(lambda: len(notifier.heard) == len(scheduler.heard) == before)
        await floors_saved(house, before)
        root = await root_of_first(house, before)

        await WAYS[way](house.nats, lambda: flip(blocks(house.nats)[PLACES[place]]))
        fork = [backup_requested("after the damage") for _ in range(forked)]
        await append_past_the_gate(house, fork)
        await eventually(lambda: {one.id for one in fork} <= set(scheduler.heard))

        cause = await house.alarmed(within=40)
        await is_held(house, gated)
        report = await repaired(house, folder, cause)
        await house.trusted()

        # What came after live damage could be projected before anybody knew of the damage.
        assert report.last_seq - before + report.appended_after_fork == forked
        assert way == "live" or report.last_seq == before
        everything = [one.id for one in [*said, *fork]]
        assert (await in_the_stream(house))[:-1] == everything
        after = backup_story()[0]
        last = await gated.append(after)
        await house.projected(last.seq)
        assert await root_of_first(house, before) == root
        await all_heard_once(notifier, scheduler, [*everything, after.id])
        async with connected(house.database) as connection:
            assert await check_event_log(connection) == last.seq
    await bootstrap(house.bus_settings)  # the stream is configured as our files say


async def append_past_the_gate(house: House, fork: list[Fact]) -> None:
    for event in fork:
        await house.bus.append(event)


async def all_heard_once(notifier: Durable, scheduler: Durable, wanted: list[UUID]) -> None:
    """Nothing was delivered again, and what is new came: the notifier heard of the repair, too."""
    await eventually(lambda: len(notifier.heard) >= len(wanted) + 1)
    await eventually(lambda: len(scheduler.heard) >= len(wanted))
    assert sorted(scheduler.heard) == sorted(wanted)
    assert len(notifier.heard) == len(set(notifier.heard)) == len(wanted) + 1


@pytest.mark.parametrize(
    ("place", "way", "forked"),
    [("first", "stopped", 0), ("middle", "live", 0), ("last", "killed", 4)],
)
async def test_damage_ends_with_the_log_as_it_was(
    house: House, tmp_path: Path, place: str, way: str, forked: int
) -> None:
    await survive(house, tmp_path, place, way, forked)


@pytest.mark.soak
@pytest.mark.parametrize("forked", [0, 7])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", PLACES)
async def test_every_damage_ends_with_the_log_as_it_was(
    house: House, tmp_path: Path, place: str, way: str, forked: int
) -> None:
    await survive(house, tmp_path, place, way, forked)
