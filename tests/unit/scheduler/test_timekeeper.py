"""The timekeeper on a bus in memory: what is due is requested, once, by any number of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from services.scheduler.timekeeper import Timekeeper, host_of
from services.scheduler.timetable import NO_DATABASE, Timetable
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.messages.base import Message, now
from shared.messages.facts import BackupRequested, ScheduleWarned, ServerDiscovered
from shared.messages.settings import (
    DatabaseSetting,
    ScheduleSetting,
    ServerSetting,
    SettingRemoved,
)
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import DatabaseRef, Endpoint, FoundDatabase
from tests.support.waiting import eventually
from tests.unit.scheduler.world import ManualClock

_Said = TypeVar("_Said", bound=Message)
SERVER = ServerSetting(
    key=str(UUID(int=7)),
    name="shop",
    runner={"kind": "local"},
    endpoints=[Endpoint(name="main", engine={"kind": "postgresql"})],
)
SHOP = DatabaseRef(server_id=UUID(int=7), endpoint="main", name="shop")


class EmptyBook:
    """A timetable that begins with one server, before everything in the log."""

    async def at_least(self, seq: int) -> None:
        assert seq >= 0

    async def opened(self) -> tuple[Timetable, int]:
        table = Timetable()
        table.reach.put_host(SHOP.server_id, host_of(SERVER))
        return table, 0


@asynccontextmanager
async def kept(bus: MemoryBus, clock: ManualClock, replicas: int = 1) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(Timekeeper(bus, EmptyBook(), clock).keep()) for _ in range(replicas)
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def said(bus: MemoryBus, kind: type[_Said]) -> list[_Said]:
    messages = [one.message for one in bus.server.stream(EVENTS).messages]
    return [one for one in messages if isinstance(one, kind)]


def every_minute(**changes: Any) -> ScheduleSetting:
    fields: dict[str, Any] = {
        "key": "often",
        "name": "often",
        "cron": "* * * * *",
        "database_ids": [str(SHOP.id)],
        "targets": [ScheduleTarget(store_id="main")],
        "missed": "run_all",
        "at": now() - timedelta(minutes=3),
    }
    return ScheduleSetting(**fields | changes)


async def test_three_at_once_request_each_slot_of_a_database_once() -> None:
    bus, clock = MemoryBus(), ManualClock()
    found = FoundDatabase(endpoint="main", name="shop")
    await bus.append(
        ServerDiscovered(server_id=SHOP.server_id, run_id=UUID(int=1), databases=[found])
    )
    async with kept(bus, clock, replicas=3):
        await bus.append(every_minute())

        def all_three() -> bool:
            return len(said(bus, BackupRequested)) >= 3

        await eventually(all_three)
        await asyncio.sleep(0.05)

    requests = said(bus, BackupRequested)
    assert len({one.slot for one in requests}) == len(requests) == 3
    assert {one.database for one in requests} == {SHOP}


async def test_it_is_warned_once_where_nothing_matches_and_nothing_else_is_said() -> None:
    bus, clock = MemoryBus(), ManualClock()
    async with kept(bus, clock):
        await bus.append(every_minute(database_ids=[], tags=["none"]))

        def warned() -> bool:
            return bool(said(bus, ScheduleWarned))

        await eventually(warned)
        await bus.append(every_minute(database_ids=[], tags=["none"]))
        await asyncio.sleep(0.05)

    assert [one.problem for one in said(bus, ScheduleWarned)] == [NO_DATABASE]
    assert said(bus, BackupRequested) == []


async def test_a_removed_schedule_a_removed_server_and_a_stranger_s_key_request_nothing() -> None:
    bus, clock = MemoryBus(), ManualClock()
    async with kept(bus, clock):
        await bus.append(DatabaseSetting(key="not-a-uuid", tags=["x"]))
        await bus.append(every_minute(key="broken", cron="never"))
        future = every_minute(at=clock.now())
        await bus.append(future)
        await bus.append(SettingRemoved(key="often", of="schedule"))
        await bus.append(SettingRemoved(key=SERVER.key, of="server"))
        clock.pass_s(120)
        await bus.append(every_minute(key="other", at=clock.now() - timedelta(minutes=1)))

        def warned() -> bool:
            return bool(said(bus, ScheduleWarned))

        await eventually(warned)

    assert said(bus, BackupRequested) == []
