"""The rules of a policy, and one policy at work in one store."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import msgspec

from shared.retention.reasons import Reason


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
        counts = (rules.keep_daily, rules.keep_weekly, rules.keep_monthly, rules.keep_yearly)
        named = (Reason.DAILY, Reason.WEEKLY, Reason.MONTHLY, Reason.YEARLY)
        self._open = [
            _Calendar(int(reason), count, which)
            for which, (reason, count) in enumerate(zip(named, counts, strict=True))
            if count
        ]

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
        periods = _periods(local)
        mask, full = 0, False
        for calendar in self._open:
            period = periods[calendar.which]
            if period in calendar.seen:
                continue
            mask |= calendar.reason
            if good:
                calendar.seen.add(period)
                full |= len(calendar.seen) >= calendar.count
        if full:
            self._open = [one for one in self._open if len(one.seen) < one.count]
        return mask


class _Calendar:
    """Keeps the newest of each of the last `count` periods that have one; `which` of `_periods`."""

    __slots__ = ("count", "reason", "seen", "which")

    def __init__(self, reason: int, count: int, which: int) -> None:
        self.reason, self.count, self.which = reason, count, which
        # A set and not the last one only: where clocks go back over midnight, a day comes twice.
        self.seen: set[int] = set()


def _periods(local: datetime) -> tuple[int, int, int, int]:
    """The numbers of its day, week, month and year."""
    day, year = local.toordinal(), local.year
    # The first day of year 1 was a Monday.
    return day, (day - 1) // 7, year * 12 + local.month, year
