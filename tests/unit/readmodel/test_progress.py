"""Waiting for the projection: many wait, one looks."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import UnavailableError
from shared.readmodel.progress import Progress


class Projection:
    """A position that others move on; counts who looks."""

    def __init__(self) -> None:
        self.position, self.looks, self.at_once, self.most = 0, 0, 0, 0
        self.away = False

    async def look(self) -> int:
        self.looks += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        seen = self.position
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.away:
            raise UnavailableError("away")
        return seen


async def test_a_hundred_who_wait_share_their_looks_and_each_is_let_on_at_its_own_position() -> (
    None
):
    projection = Projection()
    progress = Progress(projection.look)
    waiting = [asyncio.create_task(progress.reaches(seq, 20.0)) for seq in range(1, 101)]
    await asyncio.sleep(0.02)
    projection.position = 50
    assert await asyncio.gather(*waiting[:50]) == [True] * 50
    assert not any(one.done() for one in waiting[50:])

    projection.position = 100

    assert await asyncio.gather(*waiting) == [True] * 100
    assert projection.most == 1
    assert projection.looks < 100


async def test_who_waits_in_vain_is_told_and_the_others_go_on() -> None:
    projection = Projection()
    progress = Progress(projection.look)
    patient = asyncio.create_task(progress.reaches(5, 20.0))

    assert not await progress.reaches(5, 0.02)

    projection.position = 5
    assert await patient


async def test_a_failed_look_is_raised_to_who_asked_and_the_next_look_is_a_new_one() -> None:
    projection = Projection()
    progress = Progress(projection.look)
    projection.away = True
    with pytest.raises(UnavailableError):
        await progress.reaches(1, 20.0)

    projection.away, projection.position = False, 1

    assert await progress.reaches(1, 20.0)


async def test_a_cancelled_wait_leaves_nobody_looking() -> None:
    projection = Projection()
    progress = Progress(projection.look)
    waiting = asyncio.create_task(progress.reaches(1, 20.0))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0.2)

    looks = projection.looks
    await asyncio.sleep(0.2)

    assert projection.looks == looks
