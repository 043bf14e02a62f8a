"""A store that fills up its quota is told of at each threshold once, and when it is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.storage.catalogue import Level
from services.storage.gauge import THRESHOLDS, Gauge, GroupGauge, reached
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.messages.facts import GroupFilling, StoreFilling


def at(percent: int) -> Level:
    return Level(stored_bytes=percent, quota_bytes=100)


@pytest.mark.parametrize(
    ("percent", "told", "now"),
    [
        (79, 0, None),
        (80, 0, 80),
        (80, 80, None),
        (96, 0, 95),
        (96, 80, 95),
        (120, 95, 100),
        (90, 100, None),
        (75, 80, None),
        (74, 80, 0),
        (74, 0, None),
    ],
)
def test_a_threshold_is_told_when_it_is_reached(percent: int, told: int, now: int | None) -> None:
    assert reached(at(percent), told) == now


def test_a_store_whose_quota_was_taken_away_is_over_it_no_more() -> None:
    assert reached(Level(stored_bytes=10**12), 95) == 0


@given(st.lists(st.integers(0, 130), max_size=40))
def test_between_two_ends_each_threshold_is_told_at_most_once(percents: list[int]) -> None:
    told, heard = 0, []
    for percent in percents:
        if (now := reached(at(percent), told)) is not None:
            heard.append(now)
            told = now

    rounds = " ".join(map(str, heard)).split(" 0")
    assert all(sorted(set(each.split())) == sorted(each.split()) for each in rounds)
    assert set(heard) <= {0, *THRESHOLDS}


class Filled:
    """A catalogue of which only the level is asked."""

    def __init__(self) -> None:
        self.now = at(10)

    async def at_least(self, seq: int) -> None:
        """Everything is known."""

    async def level(self, store_id: str) -> Level:
        return self.now

    async def group_levels(self) -> dict[str, Level]:
        return {"g1": self.now} if self.now.quota_bytes else {}


async def test_looking_again_or_starting_again_repeats_nothing() -> None:
    bus, filled = MemoryBus(), Filled()
    for percent in (10, 81, 82, 97, 90, 60, 60):
        filled.now = at(percent)
        for _ in range(2):
            await Gauge(bus, filled, "s1").look(0)  # type: ignore[arg-type]  # what it asks

    messages = [one.message for one in bus.server.stream(EVENTS).messages]
    assert [one.type for one in messages] == ["store.filling", "store.filling", "store.relieved"]
    assert [one.percent for one in messages if isinstance(one, StoreFilling)] == [80, 95]


async def test_groups_are_told_of_in_the_same_way_and_relieved_without_a_quota() -> None:
    bus, filled = MemoryBus(), Filled()
    for level in (at(10), at(81), at(97), Level(stored_bytes=97)):
        filled.now = level
        for _ in range(2):
            await GroupGauge(bus, filled).look(0)  # type: ignore[arg-type]  # what it asks

    messages = [one.message for one in bus.server.stream(EVENTS).messages]
    assert [one.type for one in messages] == ["group.filling", "group.filling", "group.relieved"]
    assert [one.percent for one in messages if isinstance(one, GroupFilling)] == [80, 95]
