"""Conflicts: what is forecast to get in each other's way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.timetable.conflicts import Clash, Forecast, Room, conflicts

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SERVER = UUID(int=1)


def forecast(name: str, database: int, start_min: int, minutes: int = 10) -> Forecast:
    start = NOON + timedelta(minutes=start_min)
    return Forecast(
        schedule_id=name,
        schedule_name=name,
        database_id=UUID(int=database),
        server_id=SERVER,
        pool="core",
        store_id="cellar",
        start=start,
        end=start + timedelta(minutes=minutes),
    )


def test_what_ends_when_the_next_begins_is_in_nobodys_way() -> None:
    own = [forecast("a", 1, 0), forecast("a", 1, 10)]

    assert conflicts(own, [forecast("b", 2, 20)], Room(servers={SERVER: 1}), []) == []


def test_a_schedule_that_is_too_dense_for_its_database_overlaps_itself() -> None:
    own = [forecast("a", 1, start) for start in (0, 5, 10)]

    found = conflicts(own, [], Room(), [])

    assert [one.code for one in found] == [Clash.OVERLAP]
    assert found[0].at == NOON + timedelta(minutes=5)


def test_more_at_once_than_the_server_allows_is_told_with_its_first_time() -> None:
    own = [forecast("a", 1, 5)]
    others = [forecast("b", 2, 0), forecast("c", 3, 0)]

    assert conflicts(own, others, Room(servers={SERVER: 3}), []) == []
    (found,) = conflicts(own, others, Room(servers={SERVER: 2}), [])
    assert (found.code, found.at) == (Clash.SERVER_BUSY, NOON + timedelta(minutes=5))
    assert (found.about, found.schedules) == (str(SERVER), ["b", "c"])


def test_what_is_crowded_before_and_after_ours_is_no_conflict_of_ours() -> None:
    own = [forecast("a", 1, 30)]
    others = [forecast(name, number, at) for at in (0, 60) for number, name in ((2, "b"), (3, "c"))]

    assert conflicts(own, others, Room(servers={SERVER: 1}), []) == []


def test_what_begins_while_ours_runs_is_told_too_and_every_time_counts_once() -> None:
    own = [forecast("a", 1, 0, minutes=60)]
    others = [forecast("b", 2, start) for start in (10, 30)]

    (found,) = conflicts(own, others, Room(servers={SERVER: 1}), [])

    assert (found.at, found.times) == (NOON + timedelta(minutes=10), 2)


def test_a_pool_and_a_store_are_full_across_servers() -> None:
    def elsewhere(name: str, number: int) -> Forecast:
        return msgspec.structs.replace(forecast(name, number, 0), server_id=UUID(int=number))

    own, others = [elsewhere("a", 2)], [elsewhere("b", 3), elsewhere("c", 4)]

    assert conflicts(own, others, Room(pool=3, store=3), []) == []
    pool, store = conflicts(own, others, Room(pool=2, store=2), [])
    assert (pool.code, pool.about) == (Clash.POOL_BUSY, "core")
    assert (store.code, store.about) == (Clash.STORE_BUSY, "cellar")
    other_pool = [msgspec.structs.replace(one, pool="edge", store_id="attic") for one in others]
    assert conflicts(own, other_pool, Room(pool=1, store=1), []) == []


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=8),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=8),
    st.integers(1, 5),
)
def test_a_limit_is_told_of_exactly_when_a_count_of_every_minute_finds_it_passed(
    own: list[tuple[int, int]], others: list[tuple[int, int]], limit: int
) -> None:
    mine = [forecast("a", number, *times) for number, times in enumerate(own)]
    theirs = [forecast("b", 100 + number, *times) for number, times in enumerate(others)]

    found = conflicts(mine, theirs, Room(pool=limit), [])

    def running(some: list[tuple[int, int]], minute: int) -> int:
        return sum(start <= minute < start + length for start, length in some)

    full = [
        minute
        for minute in range(50)
        if running(own, minute) and running(own, minute) + running(others, minute) > limit
    ]
    assert [one.at for one in found] == [NOON + timedelta(minutes=one) for one in full[:1]]


def test_slots_in_a_blackout_are_told_once_with_their_number() -> None:
    (found,) = conflicts([], [], Room(), [NOON, NOON + timedelta(days=1)])

    assert (found.code, found.at, found.times) == (Clash.BLACKOUT, NOON, 2)
