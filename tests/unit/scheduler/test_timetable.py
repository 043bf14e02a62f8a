"""The timetable: what is due, once, however often and from whatever moment one looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.scheduler.reach import Host
from services.scheduler.timekeeper import requested
from services.scheduler.timetable import (
    DATABASE_GONE,
    NO_DATABASE,
    Start,
    Timetable,
)
from shared.messages.settings import BlackoutSetting, ScheduleSetting
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import DatabaseRef
from shared.timetable.missed import GRACE
from shared.timetable.slots import starts_at

MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SERVER = UUID(int=7)
SHOP = DatabaseRef(server_id=SERVER, endpoint="main", name="shop")
BLOG = DatabaseRef(server_id=SERVER, endpoint="main", name="blog")


def schedule(**changes: Any) -> ScheduleSetting:
    fields: dict[str, Any] = {
        "key": "nightly",
        "name": "nightly",
        "cron": "0 2 * * *",
        "database_ids": [str(SHOP.id)],
        "targets": [ScheduleTarget(store_id="main")],
    }
    return ScheduleSetting(**fields | changes)


def timetable(*groups: str) -> Timetable:
    table = Timetable()
    host = Host(pool="core", endpoints=frozenset({"main"}), group_ids=frozenset(groups))
    table.reach.put_host(SERVER, host)
    table.reach.put_database(SHOP)
    table.reach.put_database(BLOG)
    return table


def names(starts: list[Start]) -> list[str]:
    return [f"{start.database.name} {start.slot:%d %H:%M}" for start in starts]


def test_a_slot_is_due_when_its_time_has_come_and_never_again() -> None:
    table = timetable()
    table.put_schedule(schedule(), MIDNIGHT)

    assert table.next_at() == MIDNIGHT + 2 * HOUR
    assert table.due(MIDNIGHT + HOUR) == ([], [])
    assert names(table.due(MIDNIGHT + 2 * HOUR)[0]) == ["shop 01 02:00"]
    assert table.due(MIDNIGHT + 3 * HOUR) == ([], [])
    assert table.next_at() == MIDNIGHT + 26 * HOUR


def test_ids_groups_and_tags_choose_each_database_once() -> None:
    table = timetable("g1")
    table.reach.put_tags(SHOP.id, ["gold"])
    table.put_schedule(schedule(group_ids=["g1"], tags=["gold"]), MIDNIGHT)

    starts, _ = table.due(MIDNIGHT + 2 * HOUR)

    assert sorted(names(starts)) == ["blog 01 02:00", "shop 01 02:00"]


def test_a_tag_that_was_taken_off_chooses_its_database_no_longer() -> None:
    table = timetable()
    table.reach.put_tags(SHOP.id, ["gold"])
    table.reach.put_tags(SHOP.id, [])
    table.put_schedule(schedule(database_ids=[], tags=["gold"]), MIDNIGHT)

    starts, warned = table.due(MIDNIGHT + 2 * HOUR)

    assert starts == []
    assert [one.problem for one in warned] == [NO_DATABASE]


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ("skip", []),
        ("run_once", ["shop 03 02:00"]),
        ("run_all", ["shop 02 02:00", "shop 03 02:00"]),
    ],
)
def test_after_days_without_a_scheduler_the_policy_says_what_runs(
    missed: str, expected: list[str]
) -> None:
    table = timetable()
    table.put_schedule(schedule(missed=missed, missed_within_s=2 * 86_400), MIDNIGHT)

    starts, _ = table.due(MIDNIGHT + timedelta(days=2, hours=12))

    assert names(starts) == expected


def test_a_successor_requests_only_what_its_predecessor_did_not() -> None:
    table = timetable("g1")
    slot = MIDNIGHT + 2 * HOUR
    table.put_schedule(schedule(group_ids=["g1"]), MIDNIGHT, last=slot, done=[SHOP.id])

    starts, _ = table.due(slot + timedelta(seconds=5))

    assert names(starts) == ["blog 01 02:00"]


def test_every_replica_says_the_very_same_of_a_slot() -> None:
    said = []
    for moment in (2 * HOUR, 2 * HOUR + timedelta(seconds=50)):
        table = timetable()
        table.put_schedule(schedule(), MIDNIGHT)
        said += [requested(start) for start in table.due(MIDNIGHT + moment)[0]]

    assert said[0].backup_id == said[1].backup_id
    assert said[0].id == said[1].id
    assert said[0].run_id == said[1].run_id


def test_the_first_target_holds_the_dump_and_the_others_its_copies() -> None:
    table = timetable()
    targets = [ScheduleTarget(store_id=name) for name in ("near", "far", "tape")]
    table.put_schedule(schedule(targets=targets), MIDNIGHT)

    (start,), _ = table.due(MIDNIGHT + 2 * HOUR)

    assert requested(start).store_id == "near"
    assert requested(start).further_store_ids == ["far", "tape"]


def test_a_paused_schedule_starts_nothing_and_a_resumed_one_not_what_the_pause_held_up() -> None:
    table = timetable()
    table.put_schedule(schedule(), MIDNIGHT)
    table.put_schedule(schedule(paused=True), MIDNIGHT + HOUR)
    assert table.due(MIDNIGHT + 3 * HOUR) == ([], [])

    table.put_schedule(schedule(), MIDNIGHT + 4 * HOUR)

    assert table.due(MIDNIGHT + 5 * HOUR) == ([], [])
    assert names(table.due(MIDNIGHT + 26 * HOUR)[0]) == ["shop 02 02:00"]


def test_jitter_holds_up_a_start_and_a_change_meanwhile_takes_it_back() -> None:
    table = timetable("g1")
    table.put_schedule(schedule(group_ids=["g1"], jitter_s=3600), MIDNIGHT)
    slot = MIDNIGHT + 2 * HOUR

    first, _ = table.due(slot)
    later = table.next_at()

    assert first == []
    assert later is not None
    assert slot < later <= slot + HOUR
    assert len(table.due(later)[0]) == 1
    table.put_schedule(schedule(paused=True), later)
    assert table.due(slot + HOUR) == ([], [])


@pytest.mark.parametrize(("missed", "runs"), [("run_once", 1), ("run_all", 1), ("skip", 0)])
def test_in_a_blackout_nothing_starts_and_its_end_counts_as_missed(missed: str, runs: int) -> None:
    table = timetable()
    table.put_blackout(BlackoutSetting(key="b", name="b", cron="30 1 * * *", minutes=60))
    table.put_schedule(schedule(blackout_ids=["b"], missed=missed), MIDNIGHT)

    assert table.due(MIDNIGHT + 2 * HOUR) == ([], [])
    assert table.next_at() == MIDNIGHT + 2.5 * HOUR
    assert len(table.due(MIDNIGHT + 2.5 * HOUR)[0]) == runs
    assert table.next_at() == MIDNIGHT + 26 * HOUR


def test_a_blackout_that_is_switched_off_holds_up_nothing() -> None:
    table = timetable()
    off = BlackoutSetting(key="b", name="b", cron="* * * * *", minutes=60, enabled=False)
    table.put_blackout(off)
    table.put_schedule(schedule(blackout_ids=["b"]), MIDNIGHT)

    assert len(table.due(MIDNIGHT + 2 * HOUR)[0]) == 1


def test_a_server_that_is_gone_is_warned_of_once_and_again_when_it_is_back() -> None:
    table = timetable()
    table.put_schedule(schedule(database_ids=[str(SHOP.id), str(uuid4())]), MIDNIGHT)

    problems = []
    for day in range(3):
        starts, warned = table.due(MIDNIGHT + timedelta(days=day, hours=2))
        assert len(starts) == 1
        for one in warned:
            table.put_problem(one.schedule_id, one.problem)
            problems.append(one.problem)
    table.put_schedule(schedule(), MIDNIGHT + timedelta(days=3))
    _, warned = table.due(MIDNIGHT + timedelta(days=3, hours=2))

    assert problems == [DATABASE_GONE]
    assert [one.problem for one in warned] == [None]


def test_a_clock_that_is_set_back_and_forth_makes_no_slot_twice() -> None:
    table = timetable()
    table.put_schedule(schedule(cron="0 * * * *", missed="run_all"), MIDNIGHT)
    seen: list[UUID] = []
    for hours in (1, 2, 0.5, 2, 5, 3, 4, 6):
        starts, _ = table.due(MIDNIGHT + hours * HOUR)
        seen += [requested(start).backup_id for start in starts]

    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize(
    "changes", [{"cron": "x"}, {"time_zone": "Mars"}, {"missed": "x"}, {"targets": []}]
)
def test_a_setting_that_cannot_be_followed_is_refused_and_holds_up_no_other(
    changes: dict[str, Any],
) -> None:
    table = timetable()
    table.put_schedule(schedule(), MIDNIGHT)

    with pytest.raises(ValueError, match=r"\w"):
        table.put_schedule(schedule(key="bad", **changes), MIDNIGHT)

    assert len(table.due(MIDNIGHT + 2 * HOUR)[0]) == 1


@pytest.mark.parametrize(
    ("missed", "runs"),
    [
        ("skip", []),
        ("run_once", ["shop 03 02:00"]),
        ("run_all", ["shop 01 02:00", "shop 02 02:00", "shop 03 02:00"]),
    ],
)
def test_after_a_pause_of_dispatch_the_policy_says_what_runs(missed: str, runs: list[str]) -> None:
    table = timetable()
    table.put_schedule(schedule(missed=missed, missed_within_s=7 * 86_400), MIDNIGHT)
    table.put_pause(paused=True)
    assert table.next_at() is None
    assert table.due(MIDNIGHT + 60 * HOUR) == ([], [])

    table.put_pause(paused=False)

    assert names(table.due(MIDNIGHT + 60 * HOUR)[0]) == runs
    assert table.due(MIDNIGHT + 60 * HOUR) == ([], [])
    assert names(table.due(MIDNIGHT + 74 * HOUR)[0]) == ["shop 04 02:00"]


@pytest.mark.parametrize(
    ("missed", "after_minutes", "after_days"),
    [
        ("skip", ["shop 01 02:00"], []),
        ("run_once", ["shop 01 02:00"], ["shop 03 02:00"]),
        ("run_all", ["shop 01 02:00"], ["shop 01 02:00", "shop 02 02:00", "shop 03 02:00"]),
    ],
)
def test_what_waited_to_start_when_dispatch_was_paused_is_judged_by_the_same_policy(
    missed: str, after_minutes: list[str], after_days: list[str]
) -> None:
    for paused_for, runs in ((timedelta(minutes=1), after_minutes), (71 * HOUR, after_days)):
        table = timetable()
        setting = schedule(missed=missed, missed_within_s=7 * 86_400, jitter_s=30)
        table.put_schedule(setting, MIDNIGHT)
        slot = MIDNIGHT + 2 * HOUR
        assert table.due(slot) == ([], [])  # spread by jitter: it waits to start
        table.put_pause(paused=True)
        table.put_pause(paused=False)
        table.put_pause(paused=True)
        assert table.due(slot + paused_for / 2) == ([], [])
        table.put_pause(paused=False)

        at = slot + paused_for
        found = names(table.due(at)[0]) + names(table.due(at + timedelta(seconds=31))[0])

        assert found == runs


def test_a_schedule_that_was_removed_during_a_pause_starts_nothing_after_it() -> None:
    table = timetable()
    table.put_schedule(schedule(jitter_s=30), MIDNIGHT)
    assert table.due(MIDNIGHT + 2 * HOUR) == ([], [])
    table.put_pause(paused=True)
    table.remove_schedule("nightly")
    table.put_pause(paused=False)

    assert table.due(MIDNIGHT + 3 * HOUR) == ([], [])


def test_what_waits_for_its_jitter_is_not_late_for_whoever_takes_over() -> None:
    setting = schedule(database_ids=[str(SHOP.id), str(BLOG.id)], jitter_s=3600, missed="skip")
    slot = MIDNIGHT + 2 * HOUR
    starts = {one.id: starts_at(slot, 3600, "nightly", one.id) for one in (SHOP, BLOG)}
    first, second = sorted((SHOP, BLOG), key=lambda one: starts[one.id])
    between_both = starts[first.id] + (starts[second.id] - starts[first.id]) / 2

    for last, done in ((slot, [first.id]), (None, [])):
        successor = timetable()
        successor.put_schedule(setting, MIDNIGHT, last=last, done=done)
        at_once, _ = successor.due(between_both)
        rest, _ = successor.due(slot + HOUR)

        late = between_both - starts[first.id] > GRACE
        assert [one.database for one in at_once] == ([] if done or late else [first])
        assert [one.database for one in rest] == [second]


def test_a_change_lets_what_waits_for_its_jitter_start_as_it_now_says() -> None:
    table = timetable()
    table.put_schedule(schedule(database_ids=[str(SHOP.id), str(BLOG.id)], jitter_s=3600), MIDNIGHT)
    slot = MIDNIGHT + 2 * HOUR
    assert table.due(slot) == ([], [])

    changed = schedule(cron="0 9 * * *", targets=[ScheduleTarget(store_id="other")], jitter_s=3600)
    table.put_schedule(changed, slot)
    starts, _ = table.due(slot + HOUR)

    assert names(starts) == ["shop 01 02:00"]
    assert starts[0].schedule.targets == changed.targets


def test_a_change_at_the_moment_of_a_slot_or_in_a_blackout_loses_nothing() -> None:
    table = timetable()
    table.put_blackout(BlackoutSetting(key="b", name="b", cron="30 1 * * *", minutes=60))
    table.put_schedule(schedule(), MIDNIGHT)
    slot = MIDNIGHT + 2 * HOUR

    table.put_schedule(schedule(name="renamed"), slot + timedelta(milliseconds=1))
    assert names(table.due(slot + timedelta(seconds=1))[0]) == ["shop 01 02:00"]
    table.put_schedule(schedule(blackout_ids=["b"]), slot + HOUR)
    assert table.due(slot + 24 * HOUR) == ([], [])
    table.put_schedule(schedule(blackout_ids=["b"], name="again"), slot + 24.2 * HOUR)
    assert names(table.due(slot + 24.5 * HOUR)[0]) == ["shop 02 02:00"]


@pytest.mark.parametrize(
    "changes", [{"jitter_s": 3600}, {"blackout_ids": ["b"]}], ids=["jitter", "blackout"]
)
def test_what_waits_through_a_change_and_a_change_of_the_leader_is_not_lost(
    changes: dict[str, Any],
) -> None:
    slot, made = MIDNIGHT + 2 * HOUR, MIDNIGHT - timedelta(days=9)
    changed = slot + timedelta(milliseconds=1)
    before = slot - timedelta(days=1)

    for created, expected in ((made, ["shop 01 02:00"]), (changed, [])):
        successor = timetable()
        successor.put_blackout(BlackoutSetting(key="b", name="b", cron="30 1 * * *", minutes=60))
        last = {"last": before, "done": [SHOP.id]} if created is made else {}
        successor.put_schedule(schedule(**changes), changed, created=created, **last)
        assert successor.due(changed)[0] == []

        assert names(successor.due(slot + HOUR)[0]) == expected


def test_what_was_to_start_before_a_change_is_not_made_up_for_by_a_successor() -> None:
    slot, made = MIDNIGHT + 2 * HOUR, MIDNIGHT - timedelta(days=9)
    successor = timetable()
    successor.put_schedule(schedule(jitter_s=60), slot + HOUR, created=made)

    assert successor.due(slot + 2 * HOUR)[0] == []


def test_a_pause_drops_what_waits_and_a_slot_of_before_is_not_made_up_for() -> None:
    table = timetable()
    table.put_schedule(schedule(jitter_s=3600), MIDNIGHT)
    slot = MIDNIGHT + 2 * HOUR
    assert table.due(slot) == ([], [])

    table.put_schedule(schedule(jitter_s=3600, paused=True), slot)
    table.put_schedule(schedule(jitter_s=3600), slot)

    assert table.due(slot + HOUR) == ([], [])
