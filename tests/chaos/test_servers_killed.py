"""kill -9 of NATS, PostgreSQL or the gateway while clients write: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.chaos import invariants
from tests.chaos.load import Load
from tests.support.evidence import Evidence
from tests.support.platform import Installed, installed
from tests.support.waiting import eventually

# The launcher waits longer after each crash in a row, so a soak goes on with a new platform.
KILLS_OF_ONE = 4
AGAIN_WITHIN_S = 60.0

Kill = Callable[[Installed], Awaitable[None]]


async def kill_server(name: str, house: Installed) -> None:
    """SIGKILL for nats-server or postgres, and wait until another process took its place."""
    victim = await eventually(lambda: house.pid(name) or 0, within=AGAIN_WITHIN_S)
    os.kill(victim, signal.SIGKILL)
    await eventually(
        lambda: house.pid(name) not in {None, victim}, within=AGAIN_WITHIN_S, what=f"{name} again"
    )


async def kill_service(name: str, house: Installed) -> None:
    """The same for a service."""
    victim = house.platform.children[name]
    victim.kill()
    await eventually(lambda: house.platform.children[name].pid != victim.pid, within=AGAIN_WITHIN_S)


async def kills(house: Installed, kill: Kill, count: int, random: Random) -> tuple[int, list[str]]:
    """Kill some times under load. How many requests were acknowledged, and the faults found."""
    load = Load(house, random)
    async with load.going():
        for _ in range(count):
            before = len(load.acknowledged)
            # Some requests first, so that each kill hits a platform at work.
            await eventually(
                partial(load.answered, before + 10),
                within=90,
                what="requests are answered again",
            )
            await asyncio.sleep(random.uniform(0, 0.3))
            await kill(house)
        before = len(load.acknowledged)
        await eventually(partial(load.answered, before + 10), within=90)
    return len(load.acknowledged), await invariants.kept_once(house, load.acknowledged)


SERVERS = {
    "nats-server": partial(kill_server, "nats-server"),
    "postgres": partial(kill_server, "postgres"),
    "gateway": partial(kill_service, "gateway"),
    "auditor": partial(kill_service, "auditor"),
}


@pytest.mark.timeout(400)
async def test_what_was_acknowledged_under_kills_is_kept_exactly_once(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    async with installed(tmp_path) as house:
        for name in ("nats-server", "postgres", "gateway"):
            acknowledged, faults = await kills(house, SERVERS[name], 1, random)

            assert (name, faults) == (name, [])
            assert acknowledged >= 20


async def killed_between_append_and_answer(folder: Path, count: int) -> list[str]:
    """A gateway that dies so many times after it has appended; the faults found, in words."""
    mark = folder / "mark"
    settings = {
        "HOLDFAST_FAULTS": "1",
        "KILL_POINT": "gateway-appended",
        "KILL_POINT_MARK": str(mark),
    }
    mark.touch()  # the first thing appended is the administrator's account: let that pass
    async with installed(folder, settings=settings) as house:
        load = Load(house, Random(0))
        async with load.going():
            for number in range(count):
                await eventually(partial(load.answered, 10 * (number + 1)), within=90)
                mark.unlink()
                await eventually(mark.exists, within=90, what="the gateway is killed")
            await eventually(partial(load.answered, 10 * (count + 1)), within=90)
        return [
            *([] if load.repeated >= count else ["no request had to be repeated"]),
            *await invariants.kept_once(house, load.acknowledged),
            *await names_once(house),
        ]


async def names_once(house: Installed) -> list[str]:
    """No request made two things: each policy of the load has a name of its own."""
    rows = await house.rows("select name from retention_policies group by name having count(*) > 1")
    return [f"{row['name']} exists more than once" for row in rows]


@pytest.mark.timeout(400)
async def test_a_gateway_killed_between_append_and_answer_makes_nothing_twice(
    tmp_path: Path,
) -> None:
    assert await killed_between_append_and_answer(tmp_path, 1) == []


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", SERVERS)
async def test_each_server_many_times(
    tmp_path: Path, seed: int, rounds: int, name: str, request: pytest.FixtureRequest
) -> None:
    record = Evidence(f"kill-{name}", seed, rounds, request.node.nodeid)
    random = Random(seed)
    try:
        for first in range(0, rounds, KILLS_OF_ONE):
            folder = tmp_path / str(first)
            folder.mkdir()
            count = min(KILLS_OF_ONE, rounds - first)
            async with installed(folder) as house:
                acknowledged, faults = await kills(house, SERVERS[name], count, random)
            record.count("kills", count)
            record.count("requests acknowledged", acknowledged)
            record.failures += faults
    finally:
        record.write()

    assert record.failures == []


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_the_gateway_between_append_and_answer_many_times(
    tmp_path: Path, seed: int, rounds: int, request: pytest.FixtureRequest
) -> None:
    record = Evidence("kill-gateway-appended", seed, rounds, request.node.nodeid)
    try:
        for first in range(0, rounds, KILLS_OF_ONE):
            folder = tmp_path / str(first)
            folder.mkdir()
            count = min(KILLS_OF_ONE, rounds - first)
            record.failures += await killed_between_append_and_answer(folder, count)
            record.count("kills between append and answer", count)
    finally:
        record.write()

    assert record.failures == []
