"""When a database is judged again though no event tells of it, and how many at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.retention.agenda import Agenda
from services.retention.service import AT_ONCE, batches

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)


def test_a_database_is_due_from_its_time_on() -> None:
    agenda = Agenda()
    agenda.put(ONE, NOW)
    agenda.put(OTHER, NOW + timedelta(seconds=1))

    assert agenda.due(NOW - timedelta(seconds=1)) == []
    assert agenda.due(NOW) == [ONE]
    assert agenda.due(NOW + timedelta(days=1)) == [ONE, OTHER]


def test_a_later_judgement_replaces_the_time_or_takes_it_away() -> None:
    agenda = Agenda()
    agenda.put_all([ONE, OTHER], NOW)
    agenda.put(ONE, NOW + timedelta(days=1))
    agenda.put(OTHER, None)

    assert agenda.due(NOW) == []


async def test_it_sleeps_until_the_first_time_or_until_something_is_added() -> None:
    agenda = Agenda()
    agenda.put(ONE, NOW + timedelta(seconds=0.05))
    async with asyncio.timeout(20):
        await agenda.sleep(NOW)
    agenda.put(ONE, NOW + timedelta(days=9))
    sleeping = asyncio.create_task(agenda.sleep(NOW))
    await asyncio.sleep(0)  # it sleeps by now
    agenda.put(OTHER, NOW)

    async with asyncio.timeout(20):
        await sleeping


@given(st.dictionaries(st.uuids(), st.integers(1, 3 * AT_ONCE), max_size=12))
def test_portions_hold_every_database_once_and_no_more_than_needed(
    sizes: dict[UUID, int],
) -> None:
    portions = list(batches(list(sizes), sizes))

    assert [one for some in portions for one in some] == list(sizes)
    for some in portions:
        assert sum(sizes[one] for one in some[:-1]) < AT_ONCE
