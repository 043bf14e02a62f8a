"""Ending tasks: a cancellation that comes at the same moment is never lost."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus.lease import held
from shared.bus.memory import MemoryBus
from shared.bus.memory_stream import Changed
from shared.ending import ended, in_time


async def test_a_task_is_over_however_it_ends() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            raise ValueError("at the end")

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await ended(task)
    assert task.done()


@pytest.mark.parametrize("steps", range(5))
async def test_a_cancellation_while_a_task_ends_is_raised_once_it_has_ended(steps: int) -> None:
    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            for _ in range(4):
                await asyncio.sleep(0)

    task = asyncio.create_task(slow_to_end())
    await asyncio.sleep(0)
    ending = asyncio.create_task(ended(task))
    for _ in range(steps):
        await asyncio.sleep(0)
    ending.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({ending})
    assert ending.cancelled()


@pytest.mark.parametrize("steps", range(12))
async def test_whoever_is_cancelled_while_giving_a_lease_back_ends(steps: int) -> None:
    bus, inside = MemoryBus(), asyncio.Event()

    async def works_then_waits() -> None:
        async with held(bus, "clean", "me"):
            inside.set()
        await asyncio.sleep(60)

    working = asyncio.create_task(works_then_waits())
    await inside.wait()
    for _ in range(steps):
        await asyncio.sleep(0)
    working.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({working})
    assert working.cancelled()


async def test_who_waits_ends_when_cancelled_just_as_something_comes() -> None:
    changed = Changed()

    async def waiting() -> None:
        await changed.wait_for_more(0, timeout_s=60)
        await asyncio.sleep(60)

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0.01)
    changed.grow(1)
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({task})
    assert task.cancelled()


async def test_what_takes_too_long_after_a_failed_group_is_out_of_time_and_not_cancelled() -> None:
    stopped = asyncio.Event()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("a task of the group")

    async def for_ever() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
    with pytest.raises(TimeoutError):
        await in_time(for_ever(), 0.01)
    assert stopped.is_set()


async def test_what_ends_in_time_gives_its_result_or_its_error() -> None:
    async def answers() -> int:
        return 7

    async def fails() -> int:
        raise ValueError("inside")

    assert await in_time(answers(), 5) == 7
    with pytest.raises(ValueError, match="inside"):
        await in_time(fails(), 5)
