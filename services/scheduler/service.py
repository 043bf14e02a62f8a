"""Scheduler: gives each requested run to its pool, within limits, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID

import structlog

from services.scheduler.abandonment import NEVER_BEGUN, WORKER_GONE, Watch, never_begun
from services.scheduler.clock import THE_CLOCK, Clock
from services.scheduler.dispatch import Dispatcher
from services.scheduler.downloads import DURABLE as DOWNLOADS
from services.scheduler.downloads import REQUESTS as DOWNLOAD_REQUESTS
from services.scheduler.downloads import Downloads
from services.scheduler.endings import problem_of
from services.scheduler.limits import Limits, decided
from services.scheduler.orders import Orders
from services.scheduler.patience import Patience
from services.scheduler.state import Run, State
from services.scheduler.workers import Workers
from shared import trace
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.bus.lease import Lead, led
from shared.errors import PlatformError, UnavailableError
from shared.messages.values import Problem

LEASE = "scheduler"
DURABLE = "scheduler-requests"
REQUESTS = (
    "evt.backup.requested.core.>",
    "evt.restore.requested.core.>",
    "evt.execution.requested.core.>",
    "evt.server.test_requested.core.>",
    "evt.server.discovery_requested.core.>",
)
WAKING = (
    "evt.run.cancel_requested.*.>",
    "evt.backup.completed.*.>",
    "evt.backup.failed.*.>",
    "evt.backup.cancelled.*.>",
    "evt.restore.completed.*.>",
    "evt.restore.failed.*.>",
    "evt.restore.cancelled.*.>",
    "cfg.server.>",
    "evt.dispatch.*.*.>",
)
"""What may make room for a queued run, or stop one."""

LOOK_EVERY_S = 5.0
"""The rarest look: it finds what no event tells of, such as a pool's first worker."""
LOOK_AT_MOST_EVERY_S = 0.1
"""Each look reads every open run: a flood of events is looked at in portions."""
CHECKPOINT_EVERY_S = 0.2
SEND_AGAIN_S = 60.0
RESENT_AT_ONCE, SETTLE_S = 16, 5.0
BUG = Problem(code="internal", cause="the scheduler could not dispatch the run", fix="see its log")

_log = structlog.get_logger()


class Scheduler:
    """The active scheduler, once it holds the lease; a standby before.

    It decides from the read model, on the state that includes everything it said or was woken by.
    Events only wake it, so nothing is lost with it: the next one finds the same open runs.
    """

    def __init__(  # noqa: PLR0913 - an argument per part
        self,
        bus: Bus,
        state: State,
        orders: Orders,
        *,
        pool_limit: int,
        clock: Clock = THE_CLOCK,
        beside: Sequence[Lead] = (),
    ) -> None:
        self._bus, self._state, self._clock = bus, state, clock
        self._dispatcher = Dispatcher(bus, state, orders, clock)
        self._downloads = Downloads(bus, state, orders, clock)
        self._pool_limit, self._beside = pool_limit, beside
        self._wake = asyncio.Event()
        self._seen_seq = 0
        self._busy: dict[UUID, Run] = {}
        self._sent_s: dict[UUID, float] = {}
        self._resending: set[UUID] = set()
        self._led_since_s = 0.0
        self._workers = Workers(bus, self._wake.set)
        self._patience, self._watch = Patience(), Watch()

    async def listen(self, replica: str) -> None:
        """For ever: wait for the lease, dispatch while it is held."""
        await led(self._bus, LEASE, replica, self._lead)

    async def _lead(self) -> None:
        # Another one may have led meanwhile, and what was under way was cut off.
        self._busy, self._resending, self._watch = {}, set(), Watch()
        self._led_since_s = self._clock.monotonic_s()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bus.work(DURABLE, EVENTS, REQUESTS, self.on_event))
            group.create_task(self._answer_downloads())
            group.create_task(self._hear())
            group.create_task(self._workers.hear_dead_letters())
            for work in self._beside:
                group.create_task(work())
            await self._look_for_ever(group)

    async def on_event(self, delivery: Delivery) -> None:
        """Look again, on the state that includes the event."""
        self._seen_seq = max(self._seen_seq, delivery.seq)
        self._wake.set()

    async def _answer_downloads(self) -> None:
        answer = self._downloads.on_requested
        await self._bus.work(DOWNLOADS, EVENTS, DOWNLOAD_REQUESTS, answer, parallel=4)

    async def _hear(self) -> None:
        async for delivery in self._bus.follow(EVENTS, after_seq=-1, filters=WAKING):
            await self.on_event(delivery)

    async def _look_for_ever(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            pause_s, again_at = LOOK_EVERY_S, loop.time() + LOOK_AT_MOST_EVERY_S
            self._wake.clear()
            with suppress(UnavailableError):  # the next look finds the same
                pause_s = await self.look(group)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            await asyncio.sleep(max(0.0, again_at - loop.time()))

    async def look(self, group: asyncio.TaskGroup) -> float:
        """Begin whatever the open runs call for; returns the seconds until the next look."""
        await self._state.at_least(max(self._seen_seq, self._dispatcher.fence.last_seq))
        self._state.look_anew()
        runs = await self._state.open_runs()
        ids = {run.run_id for run in runs}
        self._patience.only(ids)
        self._workers.only(ids)
        self._sent_s = {key: at for key, at in self._sent_s.items() if key in ids}
        await self._end_what_nobody_ends(group, runs)
        for run in runs:
            if run.cancel_requested and run.status != "running":
                self._begin(group, run, self._dispatcher.cancel)
        self._send_some_again(group, runs)
        return await self._dispatch_what_may_go(group, runs)

    async def _dispatch_what_may_go(self, group: asyncio.TaskGroup, runs: Sequence[Run]) -> float:
        queued = [
            run
            for run in runs
            if run.status == "requested"
            and run.run_id not in self._busy
            and self._patience.may_try(run.run_id, self._clock.monotonic_s())
        ]
        if not queued:
            return LOOK_EVERY_S
        ready = [run for run in queued if await self._is_proven(run)]
        active = [run for run in runs if run.status != "requested" or run.run_id in self._busy]
        decision = decided(ready, active, await self._limits())
        going = {load.run_id for load in decision.going}
        for run in ready:
            if run.run_id in going:
                self._begin(group, run, self._dispatch)
        return LOOK_EVERY_S if len(ready) == len(queued) else CHECKPOINT_EVERY_S

    async def _limits(self) -> Limits:
        return Limits(
            servers=await self._state.run_limits(),
            pool=self._pool_limit,
            stores=await self._state.store_limits(),
            paused=await self._state.is_paused(),
        )

    async def _is_proven(self, run: Run) -> bool:
        """Whether the request may be carried out already: a restore first enters the audit tree."""
        return run.kind != "restore" or await self._state.is_checkpointed(run.requested_seq)

    async def _end_what_nobody_ends(self, group: asyncio.TaskGroup, runs: Sequence[Run]) -> None:
        active = [run for run in runs if run.status != "requested"]
        leased = await self._workers.leased() if active else ()
        for run in self._watch.abandoned(active, leased, now_s=self._clock.monotonic_s()):
            self._abandon(group, run, WORKER_GONE)
        for run in active:
            problem = self._workers.given_up.get(run.run_id)
            if problem is not None and (run.pool, run.run_id) not in leased:
                self._abandon(group, run, problem)
        for run in never_begun(runs, self._clock.now()):
            self._abandon(group, run, NEVER_BEGUN)

    def _abandon(self, group: asyncio.TaskGroup, run: Run, problem: Problem) -> None:
        self._begin(group, run, lambda one: self._dispatcher.abandon(one, problem))

    def _send_some_again(self, group: asyncio.TaskGroup, runs: Sequence[Run]) -> None:
        """A new leader does not know which orders stand: it sends all again, but few at a time, and
        many only once it has settled, so that what is new need not wait."""
        unsent = [
            run
            for run in runs
            if run.status == "dispatched"
            and run.run_id not in self._busy
            and not run.cancel_requested
            and self._may_be_unsent(run)
        ]
        settled = self._clock.monotonic_s() - self._led_since_s >= SETTLE_S
        if len(unsent) > RESENT_AT_ONCE and not settled:
            return
        for run in unsent[: max(0, RESENT_AT_ONCE - len(self._resending))]:
            self._resending.add(run.run_id)
            self._begin(group, run, self._send_again)

    def _may_be_unsent(self, run: Run) -> bool:
        return (
            self._clock.monotonic_s() - self._sent_s.get(run.run_id, -SEND_AGAIN_S) >= SEND_AGAIN_S
        )

    async def _dispatch(self, run: Run) -> None:
        await self._dispatcher.dispatch(run)
        self._sent_s[run.run_id] = self._clock.monotonic_s()

    async def _send_again(self, run: Run) -> None:
        self._sent_s[run.run_id] = self._clock.monotonic_s()
        await self._dispatcher.send_again(run)

    def _begin(
        self, group: asyncio.TaskGroup, run: Run, action: Callable[[Run], Awaitable[None]]
    ) -> None:
        """Act on the run beside everything else, unless something is being done about it."""
        if run.run_id not in self._busy:
            self._busy[run.run_id] = run
            group.create_task(self._act(run, action))

    async def _act(self, run: Run, action: Callable[[Run], Awaitable[None]]) -> None:
        try:
            headers = await self._state.headers(run.requested_seq)
            with trace.continued(headers, lambda: "dispatch"):
                await action(run)
            self._wake.set()
        except PlatformError as error:
            if not error.retryable or self._patience.failed(run, error, self._clock.monotonic_s()):
                _log.warning("run_not_dispatched", run_id=run.run_id, code=error.code)
                await self._give_up(run, problem_of(error))
        except Exception:
            _log.exception("run_not_dispatched", run_id=run.run_id)
            await self._give_up(run, BUG)
        finally:
            del self._busy[run.run_id]
            self._resending.discard(run.run_id)

    async def _give_up(self, run: Run, problem: Problem) -> None:
        with suppress(UnavailableError):  # the next look comes to the same end
            await self._dispatcher.fail(run, problem)
