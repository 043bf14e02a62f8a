"""Blackouts, and what becomes of slots that nobody could run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from shared.timetable.blackouts import Blackout, closed_by, free_from
from shared.timetable.cron import parsed
from shared.timetable.missed import GRACE, Missed, still_due

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def blackout(cron: str, minutes: int, zone: str = "UTC", key: str = "b") -> Blackout:
    return Blackout(id=key, cron=parsed(cron), zone=ZoneInfo(zone), minutes=minutes)


def test_a_window_is_closed_from_its_first_moment_until_just_before_its_end() -> None:
    window = blackout("0 12 * * *", 30)

    assert closed_by(NOON - timedelta(seconds=1), [window]) == []
    assert closed_by(NOON, [window]) == ["b"]
    assert closed_by(NOON + timedelta(minutes=30, seconds=-1), [window]) == ["b"]
    assert closed_by(NOON + timedelta(minutes=30), [window]) == []


def test_windows_that_follow_each_other_are_waited_out_together() -> None:
    windows = [blackout("0 12 * * *", 30), blackout("20 12 * * *", 40)]

    assert free_from(NOON, windows) == NOON + timedelta(hours=1)
    assert free_from(NOON - timedelta(hours=1), windows) == NOON - timedelta(hours=1)


def test_a_window_that_never_closes_ends_the_search() -> None:
    assert free_from(NOON, [blackout("* * * * *", 5)]) > NOON


def test_a_window_keeps_its_local_hours_when_the_clocks_change() -> None:
    window = blackout("0 9 * * *", 60, zone="Europe/Berlin")

    for day in (28, 29, 30):
        local = datetime(2026, 3, day, 9, 30, tzinfo=ZoneInfo("Europe/Berlin"))
        assert closed_by(local.astimezone(UTC), [window]) == ["b"]


def test_what_was_missed_runs_as_the_schedule_says() -> None:
    passed = [NOON - timedelta(hours=hours) for hours in (30, 3, 2, 1)]

    assert still_due(passed, NOON, Missed.SKIP, 86_400) == []
    assert still_due(passed, NOON, Missed.RUN_ONCE, 86_400) == passed[-1:]
    assert still_due(passed, NOON, Missed.RUN_ALL, 86_400) == passed[1:]
    assert still_due(passed, NOON, Missed.RUN_ALL, 5400) == passed[3:]


@given(st.lists(st.integers(0, 200_000), max_size=20, unique=True), st.integers(0, 100_000))
def test_what_still_runs_is_never_too_old_and_a_slot_on_time_always_runs(
    ages: list[int], within_s: int
) -> None:
    passed = sorted(NOON - timedelta(seconds=age) for age in ages)
    for missed in Missed:
        due = still_due(passed, NOON, missed, within_s)

        assert due == [slot for slot in passed if slot in due]
        assert all(NOON - slot <= max(GRACE, timedelta(seconds=within_s)) for slot in due)
        if passed and NOON - passed[-1] <= GRACE:
            assert passed[-1] in due
