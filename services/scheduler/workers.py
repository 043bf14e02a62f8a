"""What the scheduler hears of the workers: leases, orders they gave up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias
from uuid import UUID

from shared.bus import Bus, Delivery
from shared.bus.base import COMMANDS, DLQ
from shared.bus.deadletters import REASON, STREAM
from shared.messages.base import Order
from shared.messages.values import Problem
from shared.messages.wire import PoisonError

Leased: TypeAlias = tuple[str, UUID]
"""A pool, and a run of it that a worker works on."""


class Workers:
    """Knows nothing for sure: what is decided on it is fenced."""

    def __init__(self, bus: Bus, wake: Callable[[], None]) -> None:
        self._bus, self._wake = bus, wake
        self.given_up: dict[UUID, Problem] = {}

    async def hear_dead_letters(self) -> None:
        """Follow the orders that a durable gave up, for ever, from the oldest that is kept."""
        async for letter in self._bus.follow(DLQ, after_seq=0, filters=("dlq.>",)):
            if (found := given_up(letter)) is not None:
                run_id, problem = found
                self.given_up[run_id] = problem
                self._wake()

    async def leased(self) -> Collection[Leased]:
        """The pools and runs that a worker holds a lease on: no pool speaks for another one's."""
        names = [name.split(".") for name in await self._bus.kv("leases").keys("run.")]
        return {(pool, UUID(run_id)) for _, pool, run_id in names}

    def only(self, run_ids: Collection[UUID]) -> None:
        """Forget what was given up of every other run: it has ended."""
        self.given_up = {key: why for key, why in self.given_up.items() if key in run_ids}


def given_up(letter: Delivery) -> tuple[UUID, Problem] | None:
    """The run whose order is in a dead letter, and why; None for any other letter."""
    if letter.headers.get(STREAM) != COMMANDS:
        return None
    try:
        order = letter.message
    except PoisonError:
        return None
    if not isinstance(order, Order):
        return None
    problem = Problem(
        code=letter.headers.get(REASON, "run.given_up"),
        cause="the pool's workers gave the order up; the dead letter says why",
        fix="see the executor's log, then start it again",
    )
    return order.run_id, problem
