"""What happens to one run: dispatched, sent again, cancelled, failed, abandoned."""

from __future__ import annotations

from uuid import UUID

from services.scheduler.clock import Clock
from services.scheduler.endings import (
    cancellation,
    failure,
    problem_of,
    subjects_of,
    untouched,
)
from services.scheduler.errors import ImpossibleError
from services.scheduler.fence import Fence
from services.scheduler.orders import ACTOR, Orders
from services.scheduler.state import Request, Run, State
from shared.bus import Bus, Delivery, Expect
from shared.errors import PlatformError
from shared.messages.base import Fact, consequence
from shared.messages.facts import (
    BackupAttempted,
    BackupRequested,
    RestoreAttempted,
    RunDispatched,
)
from shared.messages.values import Problem


class Dispatcher:
    """Says of a run what follows from its state; every method may be repeated."""

    def __init__(self, bus: Bus, state: State, orders: Orders, clock: Clock) -> None:
        self._bus, self._state, self._orders, self._clock = bus, state, orders, clock
        self.fence = Fence(bus)

    async def dispatch(self, run: Run) -> None:
        """Say that the run is dispatched, once and for all, then send its order.

        A request that can never be carried out ends the run as failed. Raises retryable errors.
        """
        try:
            request = await self._request(run)
            await self._orders.admit(run, request)
            order = await self._orders.build(run, request, dispatched_at=self._clock.now())
        except PlatformError as error:
            if error.retryable:
                raise
            await self.fail(run, problem_of(error))
            return
        dispatched = RunDispatched(
            id=consequence(request.id, "dispatched"),
            actor=ACTOR,
            caused_by=request.id,
            request_id=request.request_id,
            run_id=run.run_id,
            kind=run.kind,
            run_pool=run.pool,
            order_id=order.id,
        )
        # Where it was dispatched before, its order may be missing: sending it again is harmless.
        await self.fence.say(dispatched, Expect(0))
        await self.fence.order(order)

    async def send_again(self, run: Run) -> None:
        """Send the order of a dispatched run, in case whoever dispatched it died in between."""
        request = await self._request(run)
        dispatched_at = run.dispatched_at or self._clock.now()
        await self.fence.order(await self._orders.build(run, request, dispatched_at=dispatched_at))

    async def cancel(self, run: Run) -> None:
        """End a run that no worker has begun; a worker that began it ends it itself."""
        await self.fence.say(cancellation(run, cause=await self._cause(run)), untouched(run))

    async def fail(self, run: Run, problem: Problem) -> None:
        """End a run that no worker has begun."""
        ending = failure(run, problem, cause=await self._cause(run))
        await self.fence.say(ending, untouched(run))

    async def abandon(self, run: Run, problem: Problem) -> None:
        """End a run whose worker is gone for good, or was never there.

        The scheduler takes the next attempt and fails it: whatever attempt a paused worker still
        holds is superseded by that, and can no longer complete.
        """
        subject = subjects_of(run)
        if subject is None:
            await self.fail(run, problem)
            return
        said = await self._bus.last_of(subject)
        if not said or any(_ends(one) for one in said):
            return
        request = await self._request(run)
        attempt = max((_attempt(one) for one in said), default=0) + 1
        taken = await self.fence.say(
            _attempted(run, request, attempt), Expect(said[-1].seq, subject)
        )
        if taken is not None:
            ending = failure(run, problem, cause=request.id, attempt=attempt)
            await self.fence.say(ending, Expect(taken, subject))

    async def _request(self, run: Run) -> Request:
        request = await self._state.request(run.requested_seq)
        if request is None:
            raise ImpossibleError("the request cannot be read")
        return request

    async def _cause(self, run: Run) -> UUID | None:
        request = await self._state.request(run.requested_seq)
        return request.id if request else None


def _ends(delivery: Delivery) -> bool:
    return delivery.subject.split(".")[2] in ("completed", "failed", "cancelled")


def _attempt(delivery: Delivery) -> int:
    message = delivery.message
    return message.attempt if isinstance(message, BackupAttempted | RestoreAttempted) else 0


def _attempted(run: Run, request: Request, attempt: int) -> Fact:
    identity = consequence(run.run_id, f"taken by the scheduler at {attempt}")
    if isinstance(request, BackupRequested):
        return BackupAttempted(
            id=identity,
            actor=ACTOR,
            caused_by=request.id,
            backup_id=run.object_id,
            run_id=run.run_id,
            attempt=attempt,
            worker=ACTOR,
            store_id=request.store_id,
            prefix=f"{run.object_id}/{attempt}",
        )
    return RestoreAttempted(
        id=identity,
        actor=ACTOR,
        caused_by=request.id,
        restore_id=run.object_id,
        run_id=run.run_id,
        attempt=attempt,
        worker=ACTOR,
    )
