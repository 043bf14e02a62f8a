"""Reading in the background at a pace."""

from __future__ import annotations

import asyncio

from shared.pace import UNPACED, Paced, pace_of


async def test_what_was_read_is_waited_for_at_the_pace_and_rest_is_not_saved_up() -> None:
    pace, loop = Paced(100_000), asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(0.05)

    for _ in range(10):
        await pace.take(1_000)

    assert loop.time() - began >= 0.05 + 0.1


def test_zero_means_as_fast_as_it_goes() -> None:
    assert pace_of(0.0) is UNPACED
