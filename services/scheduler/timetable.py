"""The timetable: every schedule with its next slot, and what of it is due. Pure, in memory."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.scheduler.reach import Reach, named
from shared.messages.settings import BlackoutSetting, ScheduleSetting
from shared.messages.values import DatabaseRef, Problem
from shared.timetable.blackouts import Blackout, closed_by, free_from
from shared.timetable.cron import Cron, parsed
from shared.timetable.missed import Missed, is_late, lateness, still_due
from shared.timetable.slots import between, following, starts_at, zone_of

MOMENT = timedelta(microseconds=1)
NO_DATABASE = Problem(
    code="schedule.no_database",
    cause="no database matches the schedule",
    fix="name a database, a group or a tag that exists",
)
DATABASE_GONE = Problem(
    code="schedule.database_gone",
    cause="a database that the schedule names is gone, or its server is",
    fix="take the database off the schedule, or add its server again",
)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that is due: of this database, for this slot of this schedule."""

    schedule: ScheduleSetting
    slot: datetime
    database: DatabaseRef
    pool: str


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """What is newly wrong with a schedule, or None when it is all well again."""

    schedule_id: str
    slot: datetime
    problem: Problem | None


class Plan(msgspec.Struct, kw_only=True):
    """One schedule: its slots after `since` are still to be considered.

    Of slots before `begun`, when it got its present form, only what starts later is its business.
    `done` are the databases whose backups of the slot `last` were requested before this began.
    """

    setting: ScheduleSetting
    cron: Cron
    zone: ZoneInfo
    missed: Missed
    named: frozenset[UUID]
    since: datetime
    begun: datetime
    last: datetime | None = None
    done: frozenset[UUID] = frozenset()
    generation: int = 0


class Timetable:
    """Settings go in, what is due comes out; it never says the same twice by itself."""

    def __init__(self) -> None:
        self.reach = Reach()
        self._plans: dict[str, Plan] = {}
        self._blackouts: dict[str, Blackout] = {}
        self._problems: dict[str, Problem | None] = {}
        self._slots: list[tuple[datetime, int, str]] = []
        self._starts: list[tuple[datetime, int, int, Start]] = []
        self._numbers = count(1)
        self._paused = self._resumed = False

    def put_schedule(
        self,
        setting: ScheduleSetting,
        since: datetime,
        *,
        created: datetime | None = None,
        last: datetime | None = None,
        done: Iterable[UUID] = (),
    ) -> None:
        """Take a schedule in its new state, in which it is `since` then. What passed before and
        still waits, for its jitter or the end of a blackout, is done in the new way, also by who
        takes over only now, unless it was `created` later; a pause drops it.

        Raises ValueError where the setting cannot be followed.
        """
        before, waiting = self._plans.get(setting.key), self._waiting(setting.key)
        self.remove_schedule(setting.key)
        if setting.paused:
            return
        if not setting.targets:
            raise ValueError("the schedule has no store")
        missed = Missed(setting.missed)
        longest = lateness(missed, setting.missed_within_s) + timedelta(seconds=setting.jitter_s)
        oldest = max(created or since, since - longest)
        plan = Plan(
            setting=setting,
            cron=parsed(setting.cron),
            zone=zone_of(setting.time_zone),
            missed=missed,
            named=named(setting),
            since=oldest if last is None else max(oldest, last - MOMENT),
            begun=since,
            last=last,
            done=frozenset(done),
            generation=next(self._numbers),
        )
        if before is not None and _same_times(before.setting, setting):
            plan.since, plan.begun = before.since, before.begun
            plan.last, plan.done = before.last, before.done
        self._plans[setting.key] = plan
        self._await_next(plan)
        self._take_over(plan, waiting)

    def remove_schedule(self, key: str) -> None:
        self._plans.pop(key, None)

    def put_blackout(self, setting: BlackoutSetting) -> None:
        """Take a window in its new state; raises ValueError where it cannot be followed."""
        self.remove_blackout(setting.key)
        if setting.enabled:
            self._blackouts[setting.key] = Blackout(
                id=setting.key,
                cron=parsed(setting.cron),
                zone=zone_of(setting.time_zone),
                minutes=setting.minutes,
            )

    def remove_blackout(self, key: str) -> None:
        self._blackouts.pop(key, None)

    def put_pause(self, *, paused: bool) -> None:
        """While paused nothing is due; afterwards each schedule's policy for missed slots says what
        still is, also of what waited to start."""
        self._resumed = (self._paused or self._resumed) and not paused
        self._paused = paused

    def put_problem(self, key: str, problem: Problem | None) -> None:
        """Remember what was said last of a schedule."""
        self._problems[key] = problem

    def next_at(self) -> datetime | None:
        """When something may be due next."""
        if self._paused:
            return None
        self._forget_old()
        heads = [heap[0][0] for heap in (self._slots, self._starts) if heap]
        return min(heads) if heads else None

    def due(self, now: datetime) -> tuple[list[Start], list[Warned]]:
        """What is to start at `now`, the earliest slot first, and what is newly wrong."""
        if self._paused:
            return [], []
        if self._resumed:
            self._drop_missed(now)
        warned: list[Warned] = []
        while self._slots and self._slots[0][0] <= now:
            _, generation, key = heapq.heappop(self._slots)
            plan = self._plans.get(key)
            if plan is not None and plan.generation == generation:
                warned += self._consider(plan, now)
        starts = []
        while self._starts and self._starts[0][0] <= now:
            _, number, generation, start = heapq.heappop(self._starts)
            if not self._is_current(start.schedule.key, generation):
                continue
            if (free := free_from(now, self._closing(start.schedule))) > now:
                heapq.heappush(self._starts, (free, number, generation, start))
            else:
                starts.append(start)
        return sorted(starts, key=lambda start: start.slot), warned

    def _drop_missed(self, now: datetime) -> None:
        """Of what waited to start through a pause, keep what its policy would still run."""
        self._resumed = False
        waiting: dict[str, set[datetime]] = defaultdict(set)
        for *_, start in self._starts:
            waiting[start.schedule.key].add(start.slot)
        due = {key: self._still_due(key, slots, now) for key, slots in waiting.items()}
        self._starts = [
            (at, number, generation, start)
            for at, number, generation, start in self._starts
            if start.slot in due[start.schedule.key] and not _is_too_late(start, at, now)
        ]
        heapq.heapify(self._starts)

    def _still_due(self, key: str, waiting: set[datetime], now: datetime) -> set[datetime]:
        plan = self._plans.get(key)
        if plan is None:
            return set()
        within_s = plan.setting.missed_within_s
        jitter_s = plan.setting.jitter_s
        spread = timedelta(seconds=jitter_s)
        oldest = max(plan.since, now - lateness(plan.missed, within_s) - spread - MOMENT)
        passed = waiting | set(between(plan.cron, plan.zone, oldest, now))
        return {*still_due(sorted(passed), now, plan.missed, within_s, jitter_s)}

    def _consider(self, plan: Plan, now: datetime) -> list[Warned]:
        """Give every slot that passed its starts, then wait for the next one."""
        setting, windows = plan.setting, self._closing(plan.setting)
        if (free := free_from(now, windows)) > now:
            heapq.heappush(self._slots, (free, plan.generation, setting.key))
            return []
        spread = timedelta(seconds=setting.jitter_s)
        oldest = now - lateness(plan.missed, setting.missed_within_s) - spread
        passed = between(plan.cron, plan.zone, max(plan.since, oldest - MOMENT), now)
        if plan.missed is Missed.SKIP:
            passed = [slot for slot in passed if not closed_by(slot, windows)]
        plan.since = now
        self._await_next(plan)
        due = still_due(passed, now, plan.missed, setting.missed_within_s, setting.jitter_s)
        if not due:
            return []
        matching = self.reach.of(plan.setting)
        for slot in due:
            self._give(plan, slot, matching, now)
        return self._judged(plan, due[-1], matching)

    def _give(
        self, plan: Plan, slot: datetime, matching: list[tuple[DatabaseRef, str]], now: datetime
    ) -> None:
        setting, done = plan.setting, plan.done if slot == plan.last else frozenset()
        windows = self._closing(setting)
        for database, pool in matching:
            at = starts_at(slot, setting.jitter_s, setting.key, database.id)
            late = is_late(at, now, plan.missed, setting.missed_within_s)
            passed = slot <= plan.begun and free_from(at, windows) <= plan.begun
            if database.id not in done and not late and not passed:
                self._push(at, plan, slot, database, pool)

    def _push(
        self, at: datetime, plan: Plan, slot: datetime, database: DatabaseRef, pool: str
    ) -> None:
        start = Start(schedule=plan.setting, slot=slot, database=database, pool=pool)
        heapq.heappush(self._starts, (at, next(self._numbers), plan.generation, start))

    def _waiting(self, key: str) -> list[tuple[datetime, Start]]:
        """What of a schedule passed its slot and waits to start."""
        return [
            (at, start)
            for at, _, generation, start in self._starts
            if start.schedule.key == key and self._is_current(key, generation)
        ]

    def _take_over(self, plan: Plan, waiting: list[tuple[datetime, Start]]) -> None:
        """Let what waited start as the schedule now says, where it still reaches the database."""
        pools = {database.id: pool for database, pool in self.reach.of(plan.setting) if waiting}
        for at, start in waiting:
            if (pool := pools.get(start.database.id)) is not None:
                self._push(at, plan, start.slot, start.database, pool)

    def _judged(
        self, plan: Plan, slot: datetime, matching: list[tuple[DatabaseRef, str]]
    ) -> list[Warned]:
        key, problem = plan.setting.key, None
        if not matching:
            problem = NO_DATABASE
        elif plan.named - {database.id for database, _ in matching}:
            problem = DATABASE_GONE
        if problem == self._problems.get(key):
            return []
        return [Warned(schedule_id=key, slot=slot, problem=problem)]

    def _closing(self, setting: ScheduleSetting) -> list[Blackout]:
        known = (self._blackouts.get(one) for one in setting.blackout_ids)
        return [one for one in known if one is not None]

    def _await_next(self, plan: Plan) -> None:
        slot = following(plan.cron, plan.zone, plan.since)
        if slot is not None:
            heapq.heappush(self._slots, (slot, plan.generation, plan.setting.key))

    def _is_current(self, key: str, generation: int) -> bool:
        plan = self._plans.get(key)
        return plan is not None and plan.generation == generation

    def _forget_old(self) -> None:
        while self._slots and not self._is_current(self._slots[0][2], self._slots[0][1]):
            heapq.heappop(self._slots)
        while self._starts and not self._is_current(
            self._starts[0][3].schedule.key, self._starts[0][2]
        ):
            heapq.heappop(self._starts)


def _same_times(one: ScheduleSetting, other: ScheduleSetting) -> bool:
    return (one.cron, one.time_zone) == (other.cron, other.time_zone)


def _is_too_late(start: Start, at: datetime, now: datetime) -> bool:
    setting = start.schedule
    return is_late(at, now, Missed(setting.missed), setting.missed_within_s)
