"""The memory that runs of one process share: never more than there is, and nobody forgotten."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from services.executor.memory import Budget


@settings(deadline=None)
@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(1, 80), st.integers(0, 3), st.booleans()), max_size=25),
)
def test_what_is_lent_fits_and_everybody_has_a_turn(
    total: int, runs: list[tuple[int, int, bool]]
) -> None:
    async def all_of_them() -> tuple[int, int]:
        budget, lent, most, done = Budget(total), 0, 0, 0

        async def run(amount: int, turns: int) -> None:
            nonlocal lent, most, done
            async with budget.reserved(amount):
                lent += min(amount, total)
                most = max(most, lent)
                try:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                finally:
                    lent -= min(amount, total)
            done += 1

        tasks = [asyncio.create_task(run(amount, turns)) for amount, turns, _ in runs]
        await asyncio.sleep(0)
        for task, (_, _, stopped) in zip(tasks, runs, strict=True):
            if stopped:
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        async with budget.reserved(total):  # all of it came back
            pass
        return most, done

    most, done = asyncio.run(all_of_them())
    assert most <= total
    assert done >= sum(not stopped for _, _, stopped in runs)


async def test_a_large_run_is_not_overtaken_by_small_ones() -> None:
    budget, order = Budget(10), list[str]()

    async def run(name: str, amount: int) -> None:
        async with budget.reserved(amount):
            order.append(name)
            await asyncio.sleep(0.01)

    await asyncio.gather(run("small", 6), run("large", 10), run("small again", 2))

    assert order == ["small", "large", "small again"]


async def test_a_run_that_is_stopped_while_it_waits_takes_nothing() -> None:
    budget = Budget(10)
    async with budget.reserved(10):
        waiting = asyncio.create_task(budget.reserved(5).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting

    async with asyncio.timeout(1), budget.reserved(10):
        pass
