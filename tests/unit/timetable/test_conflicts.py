"""Conflicts: what is forecast to get in each other's way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.timetable.conflicts import Clash, Forecast, conflicts

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SERVER = UUID(int=1)


def forecast(name: str, database: int, start_min: int, minutes: int = 10) -> Forecast:
    start = NOON + timedelta(minutes=start_min)
    return Forecast(
        schedule_id=name,
        schedule_name=name,
        database_id=UUID(int=database),
        server_id=SERVER,
        start=start,
        end=start + timedelta(minutes=minutes),
    )


def test_what_ends_when_the_next_begins_is_in_nobodys_way() -> None:
    own = [forecast("a", 1, 0), forecast("a", 1, 10)]

    assert conflicts(own, [forecast("b", 2, 20)], {SERVER: 1}, []) == []


def test_a_schedule_that_is_too_dense_for_its_database_overlaps_itself() -> None:
    own = [forecast("a", 1, start) for start in (0, 5, 10)]

    found = conflicts(own, [], {}, [])

    assert [one.code for one in found] == [Clash.OVERLAP]
    assert found[0].at == NOON + timedelta(minutes=5)


def test_more_at_once_than_the_server_allows_is_told_with_its_first_time() -> None:
    own = [forecast("a", 1, 5)]
    others = [forecast("b", 2, 0), forecast("c", 3, 0)]

    assert conflicts(own, others, {SERVER: 3}, []) == []
    (found,) = conflicts(own, others, {SERVER: 2}, [])
    assert (found.code, found.at) == (Clash.SERVER_BUSY, NOON + timedelta(minutes=5))


def test_slots_in_a_blackout_are_told_once_with_their_number() -> None:
    (found,) = conflicts([], [], {}, [NOON, NOON + timedelta(days=1)])

    assert (found.code, found.at, found.times) == (Clash.BLACKOUT, NOON, 2)
