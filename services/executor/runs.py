"""A run from its order to its one ending, whatever happens on the way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias
from uuid import UUID

import msgspec
import structlog

from services.executor import attempts
from services.executor.attempts import Attempt, Cancel, Fail, History, Leave
from services.executor.cancellations import Cancellations
from services.executor.lease import run_lease
from services.executor.progress import RunLog
from shared.bus import Bus, Expect, WrongSequenceError
from shared.bus.base import LeaveDelivery
from shared.ending import in_time
from shared.errors import PlatformError, UnavailableError
from shared.faults import Point
from shared.messages.base import Fact, now
from shared.messages.orders import RunBackup, RunRestore, RunVerification
from shared.messages.values import Problem

# The work of hours is not thrown away because the bus is away for a while at its end.
_SAY_FOR_S = 600.0
_SAY_EVERY_S = 2.0
_SETTLE_S = 30.0

Completion: TypeAlias = Callable[[UUID, int], Fact]
"""(id of the attempted fact, its number) -> the completed fact."""


class Work(Protocol):
    """What distinguishes a backup from a restore."""

    @property
    def order(self) -> RunBackup | RunRestore | RunVerification: ...

    @property
    def about(self) -> str:
        """Noun and id, `backup` and its id, joined to subjects by `subject`."""
        ...

    @property
    def aggregate(self) -> UUID: ...

    def attempted(self, attempt: int) -> Fact:
        """The fact that an attempt begins."""
        ...

    async def perform(self, attempt: int, log: RunLog) -> Completion:
        """Do it; returns how the completed fact is made."""
        ...

    def failed(self, cause: UUID, attempt: int, problem: Problem) -> Fact: ...

    def cancelled(self, cause: UUID, attempt: int) -> Fact: ...

    async def settle(self) -> Completion | None:
        """Remove what attempts left where no other service can.

        Where one of them had finished the work before it was stopped, that is not undone:
        returns how its completed fact is made.
        """
        ...


class Signals(msgspec.Struct, frozen=True):
    """What may end an attempt from outside: somebody's wish, or the loss of the lease."""

    stop: asyncio.Event
    lost: asyncio.Task[None]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts a run has, and how long its lease lasts."""

    attempt_limit: int
    lease_s: float


class Runs:
    """Performs the orders of one worker."""

    def __init__(
        self, bus: Bus, worker: str, cancellations: Cancellations, point: Point, rules: Rules
    ) -> None:
        self._bus, self._worker, self._cancellations = bus, worker, cancellations
        self._point, self._rules = point, rules

    async def run(self, work: Work) -> None:
        """Returns when the run has ended, here or elsewhere; raises LeaveDelivery to a loser."""
        order = work.order
        await self._point("order-received")
        if (await self._history(work)).ended:
            return
        holder = f"{self._worker}.{secrets.token_hex(4)}"
        async with (
            self._cancellations.heard(order.run_id) as stop,
            run_lease(
                self._bus, order.pool, order.run_id, holder, ttl_s=self._rules.lease_s
            ) as lost,
        ):
            await self._point("lease-taken")
            while not await self._step(work, Signals(stop, lost)):
                pass
        await self._point("lease-returned")

    async def _step(self, work: Work, signals: Signals) -> bool:
        """Decide and act once; False when somebody spoke between the two."""
        order, past = work.order, await self._history(work)
        decision = attempts.decide(
            past,
            cancel_wanted=signals.stop.is_set(),
            now=now(),
            not_after=order.not_after,
            limit=self._rules.attempt_limit,
        )
        try:
            match decision:
                case Leave():
                    return True
                case Cancel():
                    await self._end(work, past, work.cancelled)
                case Fail(problem):
                    await self._end(work, past, partial(work.failed, problem=problem))
                case Attempt(number):
                    await self._attempt(work, number, past, signals)
        except WrongSequenceError:
            return False
        return True

    async def _end(self, work: Work, past: History, ending: Callable[[UUID, int], Fact]) -> None:
        """End a run without trying again.

        What was begun is ended by an attempt of its own (decision 004): whoever holds an earlier
        one, and was only paused, can no longer end it too.
        """
        if not past.attempts:
            await self._say(work, ending(work.order.id, 0), past.last_seq)
            return
        number = past.attempts + 1
        attempted = work.attempted(number)
        begun = await self._say(work, attempted, past.last_seq)
        finished = await self._settled(work)
        fact = finished(attempted.id, number) if finished else ending(attempted.id, number)
        await self._say(work, fact, begun, only="attempted.*")

    async def _attempt(self, work: Work, number: int, past: History, signals: Signals) -> None:
        attempted = work.attempted(number)
        begun = await self._say(work, attempted, past.last_seq)
        await self._point("attempted")
        log = RunLog(self._bus, work.order.pool, work.order.run_id, number)
        async with log.saying():
            ending = await self._ending(work, attempted.id, number, log, signals)
        await self._point("before-ending-said")
        try:
            await self._say(work, ending, begun, only="attempted.*")
        except WrongSequenceError as error:
            raise LeaveDelivery from error  # another attempt has begun: this one counts no more
        await self._point(f"{ending.type.partition('.')[2]}-appended")

    async def _ending(
        self, work: Work, attempted: UUID, number: int, log: RunLog, signals: Signals
    ) -> Fact:
        """The fact that ends the attempt; raises LeaveDelivery where it may say nothing."""
        performed = await self._performed(work, attempted, number, log, signals)
        if performed.type.partition(".")[2] == "completed":
            return performed
        finished = await self._settled(work)
        return finished(attempted, number) if finished else performed

    async def _performed(
        self, work: Work, attempted: UUID, number: int, log: RunLog, signals: Signals
    ) -> Fact:
        performing = asyncio.create_task(work.perform(number, log))
        stopping = asyncio.create_task(signals.stop.wait())
        try:
            await asyncio.wait(
                {performing, stopping, signals.lost}, return_when=asyncio.FIRST_COMPLETED
            )
            if performing.done():
                return performing.result()(attempted, number)
        except PlatformError as error:
            log.line("error", str(error))
            return work.failed(attempted, number, problem_of(error))
        except Exception:
            structlog.get_logger().exception("a bug ended a run", run_id=str(work.order.run_id))
            return work.failed(attempted, number, _BUG)
        finally:
            stopping.cancel()
            performing.cancel()
            await asyncio.wait({performing, stopping})
        if signals.lost.done():
            raise LeaveDelivery
        return work.cancelled(attempted, number)

    async def _settled(self, work: Work) -> Completion | None:
        try:
            return await in_time(work.settle(), _SETTLE_S)
        except (PlatformError, TimeoutError):
            # The run ends all the same; what is left bears the run's id in its name.
            structlog.get_logger().warning("not cleaned up", run_id=str(work.order.run_id))
            return None

    async def _history(self, work: Work) -> History:
        said = await self._bus.last_of(self._subject(work, "*"))
        return attempts.history((one.seq, one.message) for one in said)

    async def _say(self, work: Work, fact: Fact, expected: int, *, only: str | None = None) -> int:
        """Append, however long the bus is away; `only` restricts what must not have changed."""
        subject = f"evt.{work.about}.{only}.{work.aggregate}" if only else self._subject(work, "*")
        loop = asyncio.get_running_loop()
        until = loop.time() + _SAY_FOR_S
        while True:
            try:
                return (await self._bus.append(fact, expect=Expect(expected, subject))).seq
            except UnavailableError:
                if loop.time() > until:
                    raise
                await asyncio.sleep(_SAY_EVERY_S)

    @staticmethod
    def _subject(work: Work, verb: str) -> str:
        return f"evt.{work.about}.{verb}.{work.order.pool}.{work.aggregate}"


_BUG = Problem(
    code="internal",
    cause="the executor ran into an error that it does not know",
    fix="see the executor's own log at this time, and report it",
)


def problem_of(error: PlatformError) -> Problem:
    """What the log says of an error."""
    return Problem(code=error.code, cause=error.cause, fix=error.fix)


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """Who works: the name in facts, and the key that opens the pool's orders."""

    name: str
    order_key: bytes

    def __repr__(self) -> str:
        return f"Worker(name={self.name!r})"
