"""Keeps the timetable: follows what it is made of, and requests what is due."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid5

import structlog

from services.scheduler.clock import THE_CLOCK, Clock
from services.scheduler.opening import Book
from services.scheduler.orders import ACTOR
from services.scheduler.reach import Host
from services.scheduler.timetable import Start, Timetable, Warned
from shared.bus import Bus, Expect, WrongSequenceError
from shared.bus.base import EVENTS
from shared.errors import UnavailableError
from shared.messages.base import consequence
from shared.messages.facts import (
    BackupRequested,
    DispatchPaused,
    DispatchResumed,
    ScheduleWarned,
    ServerDiscovered,
)
from shared.messages.settings import (
    BlackoutSetting,
    DatabaseSetting,
    ScheduleSetting,
    ServerSetting,
    SettingRemoved,
)
from shared.messages.values import DatabaseRef
from shared.messages.wire import AnyMessage, PoisonError
from shared.timetable.slots import backup_id

MAKING = (
    "cfg.schedule.>",
    "cfg.blackout.>",
    "cfg.server.>",
    "cfg.database.>",
    "evt.server.discovered.*.>",
    "evt.backup.requested.*.>",
    "evt.dispatch.*.*.>",
)
"""What the timetable is made of; a first backup makes its database known."""

LOOK_AT_LEAST_EVERY_S = 30.0
"""The longest sleep: a clock that was set is noticed after it."""
AT_ONCE = 64
"""Requests under way: the log syncs each one, so they go side by side."""
TRY_AGAIN_S = 0.5

_log = structlog.get_logger()


class Timekeeper:
    """Says `BackupRequested` for every start that is due, as long as it leads.

    Ids follow from schedule, slot and database, and the first fact expects that nothing stands
    there: whoever else says the same, before, after or at the same moment, changes nothing.
    """

    def __init__(self, bus: Bus, book: Book, clock: Clock = THE_CLOCK) -> None:
        self._bus, self._book, self._clock = bus, book, clock
        self._changed = asyncio.Event()
        self._timetable = Timetable()

    async def rehearse(self) -> None:
        """Open the timetable once and put it away: what is slow the first time, such as reading
        ten thousand cron expressions, is then done before this replica has to take over."""
        with suppress(UnavailableError):
            await self._book.opened()

    async def keep(self) -> None:
        """For ever; it begins once the read model holds what was said before."""
        self._timetable, seq = await self._opened()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(seq))
            group.create_task(self._request_for_ever())

    async def _opened(self) -> tuple[Timetable, int]:
        while True:
            try:
                await self._book.at_least((await self._bus.state(EVENTS)).last_seq)
                return await self._book.opened()
            except UnavailableError:
                await asyncio.sleep(TRY_AGAIN_S)

    async def _follow(self, seq: int) -> None:
        async for delivery in self._bus.follow(EVENTS, after_seq=seq, filters=MAKING):
            try:
                self._take(delivery.message)
            except (PoisonError, ValueError):
                _log.warning("not_for_the_timetable", seq=delivery.seq)

    def _take(self, message: AnyMessage) -> None:
        table = self._timetable
        match message:
            case ScheduleSetting():
                table.put_schedule(message, message.at)
                self._changed.set()
            case BlackoutSetting():
                table.put_blackout(message)
                self._changed.set()
            case DispatchPaused() | DispatchResumed():
                table.put_pause(paused=isinstance(message, DispatchPaused))
                self._changed.set()
            case ServerSetting():
                table.reach.put_host(UUID(message.key), host_of(message))
            case DatabaseSetting():
                table.reach.put_tags(UUID(message.key), message.tags)
            case ServerDiscovered():
                for found in message.databases:
                    table.reach.put_database(
                        DatabaseRef(
                            server_id=message.server_id, endpoint=found.endpoint, name=found.name
                        )
                    )
            case BackupRequested():
                table.reach.put_database(message.database)
            case SettingRemoved():
                self._remove(message)
            case _:
                return

    def _remove(self, message: SettingRemoved) -> None:
        match message.of:
            case "schedule":
                self._timetable.remove_schedule(message.key)
            case "blackout":
                self._timetable.remove_blackout(message.key)
            case "server":
                self._timetable.reach.remove_host(UUID(message.key))
            case "database":
                self._timetable.reach.put_tags(UUID(message.key), [])
            case _:
                return
        self._changed.set()

    async def _request_for_ever(self) -> None:
        while True:
            self._changed.clear()
            starts, warned = self._timetable.due(self._clock.now())
            await self._request(starts)
            for one in warned:
                await self._until_stored(self._warning(one), expect=None)
                self._timetable.put_problem(one.schedule_id, one.problem)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._changed.wait()

    def _pause_s(self) -> float:
        following = self._timetable.next_at()
        if following is None:
            return LOOK_AT_LEAST_EVERY_S
        left: timedelta = following - self._clock.now()
        return min(LOOK_AT_LEAST_EVERY_S, max(0.0, left.total_seconds()))

    async def _request(self, starts: Sequence[Start]) -> None:
        waiting = iter(starts)

        async def some() -> None:
            for start in waiting:
                await self._until_stored(requested(start), expect=Expect(0))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(starts))):
                group.create_task(some())

    async def _until_stored(
        self, fact: BackupRequested | ScheduleWarned, expect: Expect | None
    ) -> None:
        """However long the log is away: a slot that is due is not forgotten while we lead."""
        while True:
            try:
                await self._bus.append(fact, expect=expect)
            except WrongSequenceError:
                return  # another scheduler, or our predecessor, has said it
            except UnavailableError:
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                return

    def _warning(self, one: Warned) -> ScheduleWarned:
        code = one.problem.code if one.problem else "well"
        about = uuid5(UUID(int=0), one.schedule_id)
        return ScheduleWarned(
            id=consequence(about, f"{code} at {one.slot.isoformat()}"),
            actor=ACTOR,
            schedule_id=one.schedule_id,
            slot=one.slot,
            problem=one.problem,
        )


def requested(start: Start) -> BackupRequested:
    """What the scheduler says of a start: the same each time but for the moment it is said."""
    schedule = start.schedule
    identity = backup_id(schedule.key, start.slot, start.database.id)
    first, *further = [target.store_id for target in schedule.targets]
    return BackupRequested(
        id=consequence(identity, "requested"),
        actor=ACTOR,
        backup_id=identity,
        run_id=consequence(identity, "run"),
        database=start.database,
        store_id=first,
        run_pool=start.pool,
        type_wanted=schedule.type_wanted,
        method=schedule.method,
        codec=schedule.codec,
        chain_limit=schedule.chain_limit,
        schedule_id=schedule.key,
        slot=start.slot,
        further_store_ids=further,
    )


def host_of(server: ServerSetting) -> Host:
    """What the timetable needs of a server's setting."""
    return Host(
        pool=server.pool,
        endpoints=frozenset(point.name for point in server.endpoints),
        group_ids=frozenset(server.group_ids),
    )
