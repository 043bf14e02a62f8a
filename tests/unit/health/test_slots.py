"""Schedules that nobody keeps are found, whatever the scheduler does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.health.schedules import ScheduleWatch
from services.health.slots import PATIENCE, Kept, unkept
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.messages.facts import ScheduleWarned
from shared.timetable.blackouts import Blackout
from shared.timetable.cron import parsed
from shared.timetable.missed import Missed

ZONE = ZoneInfo("Europe/Berlin")
DAILY = Kept(
    key="s1",
    cron=parsed("30 2 * * *"),
    zone=ZONE,
    jitter_s=0,
    missed=Missed.RUN_ONCE,
    blackouts=[],
    since=datetime(2026, 3, 1, tzinfo=UTC),
)
SLOT = datetime(2026, 3, 10, 2, 30, tzinfo=ZONE)
LAST = SLOT - timedelta(days=1)


def test_a_slot_is_missed_once_patience_and_jitter_are_over() -> None:
    kept = msgspec.structs.replace(DAILY, last=LAST, jitter_s=600)
    over = SLOT + PATIENCE + timedelta(seconds=600)

    assert unkept(kept, over - timedelta(seconds=1)) is None
    assert unkept(kept, over) == SLOT
    assert unkept(msgspec.structs.replace(kept, last=SLOT), over) is None


def test_a_slot_that_was_requested_of_some_of_its_databases_is_missed_too() -> None:
    kept = msgspec.structs.replace(DAILY, last=SLOT, whole=False)

    assert unkept(kept, SLOT + PATIENCE) == SLOT
    assert unkept(msgspec.structs.replace(kept, last=LAST), SLOT) == LAST


def test_nothing_is_missed_of_before_the_schedule_was_made_or_changed() -> None:
    kept = msgspec.structs.replace(DAILY, since=SLOT + timedelta(seconds=1))

    assert unkept(kept, SLOT + timedelta(hours=3)) is None


def test_a_blackout_lets_a_slot_wait_or_pass() -> None:
    window = Blackout(id="b", cron=parsed("0 2 * * *"), zone=ZONE, minutes=120)
    kept = msgspec.structs.replace(DAILY, last=LAST, blackouts=[window])
    closes = SLOT.replace(hour=4, minute=0)

    assert unkept(kept, closes + PATIENCE - timedelta(seconds=1)) is None
    assert unkept(kept, closes + PATIENCE) == SLOT
    skips = msgspec.structs.replace(kept, missed=Missed.SKIP)
    assert unkept(skips, closes + timedelta(hours=9)) is None


def test_what_is_spread_into_a_blackout_waits_for_its_end() -> None:
    window = Blackout(id="b", cron=parsed("0 3 * * *"), zone=ZONE, minutes=180)
    jitter = {"jitter_s": 3600, "blackouts": [window]}
    closes = SLOT.replace(hour=6, minute=0)

    for kept in (
        msgspec.structs.replace(DAILY, last=SLOT, whole=False, **jitter),
        msgspec.structs.replace(DAILY, last=LAST, **jitter),
    ):
        assert unkept(kept, closes + PATIENCE - timedelta(seconds=1)) is None
        assert unkept(kept, closes + PATIENCE) == SLOT


@given(st.integers(0, 3 * 365 * 24 * 60))
def test_a_schedule_whose_every_slot_is_requested_is_never_missed(minutes: int) -> None:
    now = DAILY.since + timedelta(minutes=minutes)
    last = (now - timedelta(hours=25)).astimezone(ZONE).replace(hour=2, minute=30)
    while (following := last + timedelta(days=1)) <= now:
        last = following

    assert unkept(msgspec.structs.replace(DAILY, last=last), now) is None


class World:
    """One schedule, and a clock that stands still."""

    def __init__(self) -> None:
        self.bus, self.at = MemoryBus(), SLOT
        self.one = msgspec.structs.replace(DAILY, last=LAST)

    async def kept(self) -> list[Kept]:
        return [self.one]

    def watch(self) -> ScheduleWatch:
        return ScheduleWatch(self.bus, self, clock=lambda: self.at)

    def said(self) -> list[str]:
        return [one.message.type for one in self.bus.server.stream(EVENTS).messages]


async def test_each_change_is_said_once_by_however_many_watches() -> None:
    world = World()
    watches = [world.watch(), world.watch()]

    async def look_thrice() -> None:
        for _ in range(3):
            for watch in watches:
                await watch.look()

    await look_thrice()
    assert world.said() == []
    world.at = SLOT + PATIENCE
    await look_thrice()
    assert world.said() == ["schedule.missed"]
    await world.bus.append(ScheduleWarned(schedule_id="s1", slot=SLOT))
    world.at += timedelta(days=1)
    await look_thrice()
    world.one = msgspec.structs.replace(world.one, last=SLOT + timedelta(days=1))
    await look_thrice()
    assert world.said() == ["schedule.missed", "schedule.warned", "schedule.caught_up"]


async def test_a_schedule_has_not_caught_up_because_time_went_by() -> None:
    world = World()
    watch = world.watch()
    world.at = SLOT + PATIENCE
    await watch.look()
    world.one = msgspec.structs.replace(world.one, cron=parsed("30 2 10 3 *"))
    world.at = SLOT + timedelta(days=30)

    await watch.look()
    assert world.said() == ["schedule.missed"]
    world.one = msgspec.structs.replace(world.one, last=SLOT)
    await watch.look()
    assert world.said() == ["schedule.missed", "schedule.caught_up"]
