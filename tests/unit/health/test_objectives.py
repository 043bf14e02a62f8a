"""Objectives are watched: facts on change only, whoever watches."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import msgspec

from services.health.objectives import ObjectiveWatch
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.messages.base import now
from shared.objectives import Objective, Protected

HOUR = timedelta(hours=1)


class World:
    """One database under an objective of an hour, and a clock that stands still."""

    def __init__(self) -> None:
        self.bus, self.at = MemoryBus(), now()
        self.wanted = [Objective(id="o", name="hourly", rpo_s=3600, since=self.at - 9 * HOUR)]
        self.known = Protected(id=uuid4(), server_id=uuid4(), name="shop", good_at=self.at)

    async def objectives(self) -> list[Objective]:
        return self.wanted

    async def databases(self) -> list[Protected]:
        return [self.known]

    def watch(self) -> ObjectiveWatch:
        return ObjectiveWatch(self.bus, self, clock=lambda: self.at)

    def backed_up(self) -> None:
        self.known = msgspec.structs.replace(self.known, good_at=self.at)

    def said(self) -> list[str]:
        return [one.message.type for one in self.bus.server.stream(EVENTS).messages]


async def test_each_change_is_said_once_and_an_idle_platform_says_nothing() -> None:
    world = World()
    watch = world.watch()

    async def look_thrice() -> None:
        for _ in range(3):
            await watch.look()

    await look_thrice()
    assert world.said() == []
    world.at += 0.9 * HOUR
    await look_thrice()
    assert world.said() == ["objective.endangered"]
    world.at += HOUR
    await look_thrice()
    assert world.said() == ["objective.endangered", "objective.missed"]
    world.backed_up()
    await look_thrice()
    assert world.said() == ["objective.endangered", "objective.missed", "objective.met"]


async def test_a_second_watch_goes_on_from_what_the_first_one_said() -> None:
    world = World()
    first, second = world.watch(), world.watch()
    await first.begin()
    await second.begin()
    world.at += 2 * HOUR

    await first.look()
    await second.look()
    await second.look()
    third = world.watch()
    await third.begin()
    await third.look()

    assert world.said() == ["objective.missed"]
