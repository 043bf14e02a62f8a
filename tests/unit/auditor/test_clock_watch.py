"""The log's clock: set back, it is noticed, and said once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
import pytest

from services.auditor.clock_watch import TOLERANCE, ClockWatch
from services.auditor.ledger import Record, recorded
from shared.bus.memory import MemoryBus
from shared.messages.facts import LogClockTurnedBack
from tests.unit.auditor.events import START, delivered, server

HOUR = timedelta(hours=1)


def stored(*times: datetime) -> list[Record]:
    """Events stored at these times, one after the other."""
    deliveries = delivered([server() for _ in times])
    moved = zip(deliveries, times, strict=True)
    return [recorded(msgspec.structs.replace(one, at=at), []) for one, at in moved]


async def turns(watches: Iterable[ClockWatch], records: list[Record], bus: MemoryBus) -> list[int]:
    """At which events a turn is said once every watch has heard the records."""
    for watch in watches:
        await watch.wrote(records)
    working = [asyncio.create_task(watch.work()) for watch in watches]
    for watch in watches:
        await watch.said()
    for task in working:
        task.cancel()
    found = [one.message for one in await bus.last_of("evt.log.clock_turned_back.core.*")]
    return sorted(one.at_seq for one in found if isinstance(one, LogClockTurnedBack))


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


async def test_a_clock_that_is_set_back_is_said_once_and_so_is_the_next_turn(
    bus: MemoryBus,
) -> None:
    """Abuse case 39: whoever wants another time in the log sets its clock back."""
    turned = stored(
        START, START + HOUR, START + 2 * HOUR, START, START + timedelta(minutes=5), START - HOUR
    )

    assert await turns([ClockWatch(bus), ClockWatch(bus)], turned, bus) == [4, 6]


async def test_the_small_differences_of_a_cluster_are_no_turn(bus: MemoryBus) -> None:
    steps = stored(START, START - TOLERANCE, START + HOUR, START + HOUR - TOLERANCE)

    assert await turns([ClockWatch(bus)], steps, bus) == []
