"""The rules of a policy, and one policy at work in one store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, tzinfo
from typing import TypeAlias

import msgspec

from shared.retention.reasons import Reason

Period: TypeAlias = Callable[[date], int]
"""The number of the day, week, month or year that a local date lies in."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy keeps of each database in each store: whatever one of its rules keeps.

    The fields are those of `PolicySetting`. `id` tells policies apart: backups of one policy in
    one store share its places.
    """

    id: str = ""
    name: str = ""
    keep_last: int = 0
    keep_days: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    min_age_s: int = 0

    def told(self) -> str:
        """The rules as words: `the newest 3 good backups and those of the last 7 days`."""
        counted = [
            (self.keep_daily, "days"),
            (self.keep_weekly, "weeks"),
            (self.keep_monthly, "months"),
            (self.keep_yearly, "years"),
        ]
        periods = ", ".join(f"{count} {unit}" for count, unit in counted if count)
        parts = [
            f"the newest {self.keep_last} good backups" if self.keep_last else "",
            f"those of the last {self.keep_days} days" if self.keep_days else "",
            f"the newest of each of {periods}" if periods else "",
        ]
        return " and ".join(part for part in parts if part) or "nothing"


class Shelf:
    """One policy at work in one store: asked about its backups, the newest first."""

    def __init__(self, rules: Rules, zone: tzinfo, now: datetime) -> None:
        self._zone, self._places = zone, rules.keep_last
        self._young_since = now - timedelta(seconds=rules.min_age_s)
        self._recent_since = now - timedelta(days=rules.keep_days)
        counted = (
            (Reason.DAILY, rules.keep_daily, _day),
            (Reason.WEEKLY, rules.keep_weekly, _week),
            (Reason.MONTHLY, rules.keep_monthly, _month),
            (Reason.YEARLY, rules.keep_yearly, _year),
        )
        self._open = [_Calendar(reason, count, of) for reason, count, of in counted if count]

    def reasons(self, taken_at: datetime, *, good: bool) -> int:
        """Which rules keep the next older backup, as a mask.

        A damaged one is kept where a good one would be, but takes no place: should it read well
        again, it was not thrown away for that.
        """
        mask = 0
        if self._places > 0:
            mask |= Reason.LAST
            self._places -= good
        if taken_at > self._recent_since:
            mask |= Reason.DAYS
        if taken_at > self._young_since:
            mask |= Reason.MIN_AGE
        if self._open:
            mask |= self._calendars(taken_at.astimezone(self._zone), good)
        return mask

    def _calendars(self, local: datetime, good: bool) -> int:
        mask, full = 0, False
        for calendar in self._open:
            if calendar.keeps(local, good):
                mask |= calendar.reason
            full |= calendar.is_full
        if full:
            self._open = [one for one in self._open if not one.is_full]
        return mask


class _Calendar:
    """Keeps the newest of each of the last N periods that have one."""

    def __init__(self, reason: int, count: int, of: Period) -> None:
        self.reason, self._count, self._of = reason, count, of
        # A set and not the last one only: where clocks go back over midnight, a day comes twice.
        self._seen: set[int] = set()

    def keeps(self, local: datetime, good: bool) -> bool:
        period = self._of(local)
        if period in self._seen:
            return False
        if good:
            self._seen.add(period)
        return True

    @property
    def is_full(self) -> bool:
        return len(self._seen) >= self._count


def _day(local: date) -> int:
    return local.toordinal()


def _week(local: date) -> int:
    return (local.toordinal() - 1) // 7  # the first day of year 1 was a Monday


def _month(local: date) -> int:
    return local.year * 12 + local.month


def _year(local: date) -> int:
    return local.year
