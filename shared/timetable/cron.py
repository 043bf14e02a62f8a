"""Cron expressions: five fields, read once, then enumerated in wall-clock time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache

import msgspec
from croniter import CroniterError, croniter

FIELDS = ("minute", "hour", "day of month", "month", "day of week")
LONGEST_WAIT_DAYS = 8 * 366 + 1
"""29 February comes at least once in eight years, also around 2100."""
_PLAIN = re.compile(r"^[0-9A-Za-z*,/-]+$")
_NAMES = re.compile(r"[A-Za-z]+")
_KNOWN = frozenset(
    (
        *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        *("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
    )
)


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """What a cron expression matches. Days match as cron has it: where both the day of the month
    and the day of the week are restricted, either is enough. `weekdays`: 0 is Sunday."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None
    every_hour: bool

    def walls(self, after: datetime) -> Iterator[datetime]:
        """The matching wall-clock times of the eight years after `after` (naive), in order."""
        day, first = after.date(), True
        for _ in range(LONGEST_WAIT_DAYS):
            if self._matches(day):
                for wall in self._times(day):
                    if not first or wall > after:
                        yield wall
            if day == date.max:
                return
            day, first = day + timedelta(days=1), False

    def _times(self, day: date) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                yield datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - a wall

    def _matches(self, day: date) -> bool:
        if self.months is not None and day.month not in self.months:
            return False
        if self.days is None and self.weekdays is None:
            return True
        in_month = self.days is not None and day.day in self.days
        in_week = self.weekdays is not None and day.isoweekday() % 7 in self.weekdays
        return in_month or in_week


@lru_cache(maxsize=16_384)
def parsed(text: str) -> Cron:
    """Read an expression; raises ValueError with a sentence for the person who wrote it."""
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"five fields are needed ({', '.join(FIELDS)}), not {len(fields)}")
    for name, field in zip(FIELDS, fields, strict=True):
        if not _PLAIN.match(field) or not _known(field):
            raise ValueError(f"{field!r} is no {name}: use numbers, names, * , - and /")
    try:
        (minutes, hours, days, months, weekdays), _ = croniter.expand(" ".join(fields))
    except (CroniterError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"the expression cannot be read: {error}") from None
    cron = Cron(
        minutes=_numbers(minutes, range(60)),
        hours=_numbers(hours, range(24)),
        days=_restricted(days),
        months=_restricted(months),
        weekdays=_restricted(weekdays),
        every_hour=fields[1].startswith("*"),
    )
    if next(cron.walls(datetime(2000, 1, 1)), None) is None:  # noqa: DTZ001 - a wall
        raise ValueError("there is no such day in any month: the schedule would never run")
    return cron


def _known(field: str) -> bool:
    return all(name.lower() in _KNOWN for name in _NAMES.findall(field))


def _numbers(values: list[object], every: range) -> tuple[int, ...]:
    if values == ["*"]:
        return tuple(every)
    return tuple(sorted(int(str(value)) for value in values))


def _restricted(values: list[object]) -> frozenset[int] | None:
    return None if values == ["*"] else frozenset(int(str(value)) for value in values)
