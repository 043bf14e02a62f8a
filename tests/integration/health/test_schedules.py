"""A schedule that nobody keeps is told of while no scheduler runs at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from services.health.schedules import ReadModelCalendar, ScheduleWatch
from shared.messages.base import now
from shared.messages.facts import (
    BackupRequested,
    ScheduleCaughtUp,
    ScheduleMissed,
    ScheduleWarned,
)
from shared.messages.settings import ScheduleSetting
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import DatabaseRef, Problem
from tests.integration.town import Town

HOUR = timedelta(hours=1)


async def test_a_slot_that_nobody_requests_is_missed_until_a_later_one_is(town: Town) -> None:
    nightly = ScheduleSetting(
        key="nightly",
        name="nightly",
        cron="30 2 * * *",
        database_ids=[str(town.database.id)],
        targets=[ScheduleTarget(store_id="main")],
    )
    paused = msgspec.structs.replace(nightly, id=uuid4(), key="p", name="p", paused=True)
    empty = msgspec.structs.replace(nightly, id=uuid4(), key="e", name="e", database_ids=[])
    for setting in (nightly, paused, empty):
        await town.gateway.append(setting)
    nothing = Problem(code="schedule.no_database", cause="no database matches the schedule")
    async with town.nats.bus("scheduler") as scheduler:
        await scheduler.append(ScheduleWarned(schedule_id="e", slot=now(), problem=nothing))
    await town.model.at_least(await town.last_seq())
    following = (now() + timedelta(days=2)).replace(hour=2, minute=30, second=0, microsecond=0)
    clock = [following - HOUR - timedelta(days=1)]
    other = DatabaseRef(server_id=town.database.server_id, endpoint="main", name="unnamed")

    async with town.nats.bus("health") as bus:
        watch = ScheduleWatch(bus, ReadModelCalendar(town.model), clock=lambda: clock[0])
        await watch.begin()
        clock[0] = following.astimezone(UTC) + HOUR
        for _ in range(2):
            await watch.look()
        missed = await town.heard(ScheduleMissed, "nightly")  # type: ignore[arg-type]
        await request(town, following, other)
        await watch.look()
        assert await town.gateway.last_of("evt.schedule.caught_up.core.*") == []
        await request(town, following, town.database)
        for _ in range(2):
            await watch.look()
        await town.heard(ScheduleCaughtUp, "nightly")  # type: ignore[arg-type]

    assert missed.slot == following
    told = await town.gateway.last_of("evt.schedule.missed.core.*")
    assert [one.message.schedule_id for one in told] == ["nightly"]  # type: ignore[union-attr]


async def request(town: Town, slot: datetime, database: DatabaseRef) -> None:
    """What a scheduler says of a slot."""
    asked = BackupRequested(
        backup_id=uuid4(),
        run_id=uuid4(),
        database=database,
        store_id="main",
        run_pool="core",
        schedule_id="nightly",
        slot=slot,
    )
    await town.gateway.append(asked)
    await town.model.at_least(await town.last_seq())
