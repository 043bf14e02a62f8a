"""Facts about schedules."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from shared.messages.base import Fact, Key
from shared.messages.values import Problem


class ScheduleFact(Fact, frozen=True, kw_only=True):
    """About one schedule."""

    KEYED_BY: ClassVar[str] = "schedule_id"
    schedule_id: Key


class ScheduleWarned(ScheduleFact, frozen=True, kw_only=True):
    """At `slot` something was wrong with the schedule that was not before; no problem: no more.

    It is said when it changes, not at every slot.
    """

    slot: datetime
    problem: Problem | None = None


class ScheduleMissed(ScheduleFact, frozen=True, kw_only=True):
    """Nobody requested the backups of `slot`, long after it: no scheduler keeps the schedule.

    It is said once, until the schedule is kept again.
    """

    slot: datetime


class ScheduleCaughtUp(ScheduleFact, frozen=True, kw_only=True):
    """The schedule that was missed is kept again."""
