"""Says which databases miss their objective, are about to, or meet it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.health.probes import ACTOR
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import UnavailableError
from shared.messages.base import now
from shared.messages.facts import ObjectiveEndangered, ObjectiveMet, ObjectiveMissed
from shared.objectives import (
    Judged,
    Objective,
    Protected,
    Standing,
    databases_of,
    judged,
    objectives_of,
)
from shared.readmodel.reader import ReadModel

LOOK_EVERY_S = 30.0
SUBJECT = "evt.objective.*.core."

_FACTS: dict[Standing, type[ObjectiveMet | ObjectiveEndangered | ObjectiveMissed]] = {
    Standing.MET: ObjectiveMet,
    Standing.AT_RISK: ObjectiveEndangered,
    Standing.MISSED: ObjectiveMissed,
}


class Promises(Protocol):
    """Where objectives and databases are known; raises UnavailableError while they are not."""

    async def objectives(self) -> list[Objective]:
        """Every objective."""

    async def databases(self) -> list[Protected]:
        """Every database with its last good backup."""


class ReadModelPromises:
    """From Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def objectives(self) -> list[Objective]:
        return await objectives_of(self._read_model)

    async def databases(self) -> list[Protected]:
        return await databases_of(self._read_model)


class ObjectiveWatch:
    """Judges again and again; says of each database only what is not what was last said."""

    def __init__(
        self, bus: Bus, promises: Promises, *, clock: Callable[[], datetime] = now
    ) -> None:
        self._bus, self._promises, self._clock = bus, promises, clock
        self._said: dict[UUID, tuple[int, Standing]] = {}

    async def watch(self) -> None:
        """For ever, while we are the active one."""
        await self.begin()
        while True:
            with suppress(UnavailableError):  # the next look judges the same
                await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def begin(self) -> None:
        """Learn what was last said of each database."""
        kinds = {kind: standing for standing, kind in _FACTS.items()}
        self._said = {}
        for delivery in await self._bus.last_of(f"{SUBJECT}*"):  # in the order of the log
            message = delivery.message
            if isinstance(message, ObjectiveMet | ObjectiveEndangered | ObjectiveMissed):
                self._said[message.database_id] = delivery.seq, kinds[type(message)]

    async def look(self) -> None:
        """Say what changed."""
        wanted = await self._promises.objectives()
        if wanted or self._said:
            for one in judged(await self._promises.databases(), wanted, self._clock()):
                await self._say(one)

    async def _say(self, one: Judged) -> None:
        seq, said = self._said.get(one.database.id, (0, Standing.MET))
        if said is one.standing:
            return
        fact = _FACTS[one.standing](
            actor=ACTOR,
            database_id=one.database.id,
            server_id=one.database.server_id,
            objective_id=one.objective.id,
            rpo_s=one.objective.rpo_s,
            good_at=one.database.good_at,
        )
        try:
            appended = await self._bus.append(
                fact, expect=Expect(seq, f"{SUBJECT}{one.database.id}")
            )
        except WrongSequenceError:  # another replica spoke: go on from what it said
            await self.begin()
            return
        self._said[one.database.id] = appended.seq, one.standing
