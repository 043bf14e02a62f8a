"""Slots: the instants that a cron expression means in a time zone, each once, in order.

croniter, asked in local time, fires a daily 02:30 job twice on the day the clock goes back. So the
expression is enumerated in wall-clock time, which has no such days, and each wall is mapped once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import takewhile
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.timetable.cron import Cron

SECOND = timedelta(seconds=1)
MOST_REMEMBERED = 20_000
_following: dict[tuple[Cron, str], tuple[datetime, datetime]] = {}


def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name; raises ValueError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone: use a name such as Europe/Berlin") from None


def slots(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The slots after `after`, in UTC, ascending.

    A time that a day has twice counts the first time, one that it skips when the clock has gone
    on: a daily job runs once on every day. An expression for every hour (`*`) follows elapsed time
    instead: it runs in both passes of the repeated hour, and not in an hour that does not exist.
    """
    waiting: list[datetime] = []
    last = after
    for wall in cron.walls(_begin(zone, after)):
        for instant in _instants(wall, zone, by_elapsed_time=cron.every_hour):
            heapq.heappush(waiting, instant)
        # Later walls are mapped to no earlier instants than this one's first.
        earliest = wall.replace(tzinfo=zone).astimezone(UTC)
        while waiting and waiting[0] <= earliest:
            if (slot := heapq.heappop(waiting)) > last:
                last = slot
                yield slot


def following(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first slot after `after`; None when there is none in the next years.

    What was found for an earlier `after` is remembered: it holds until that slot itself.
    """
    about = cron, zone.key
    if (known := _following.get(about)) is not None and known[0] <= after < known[1]:
        return known[1]
    found = next(slots(cron, zone, after), None)
    if found is not None:
        if len(_following) >= MOST_REMEMBERED:
            _following.clear()
        _following[about] = after, found
    return found


def between(cron: Cron, zone: ZoneInfo, after: datetime, until: datetime) -> list[datetime]:
    """The slots after `after`, up to and including `until`."""
    return list(takewhile(lambda slot: slot <= until, slots(cron, zone, after)))


def starts_at(slot: datetime, jitter_s: int, schedule_id: str, database_id: UUID) -> datetime:
    """When a database's backup of a slot starts: at most `jitter_s` later, always the same."""
    if jitter_s <= 0:
        return slot
    digest = sha256(f"{schedule_id}\n{slot.isoformat()}\n{database_id}".encode()).digest()
    return slot + timedelta(seconds=int.from_bytes(digest[:8]) % (jitter_s + 1))


def backup_id(schedule_id: str, slot: datetime, database_id: UUID) -> UUID:
    """The id of a database's backup of a slot: whoever says it, however often, means this one."""
    return uuid5(database_id, f"{schedule_id}\n{slot.isoformat()}")


def _begin(zone: ZoneInfo, after: datetime) -> datetime:
    """The wall after which slots after `after` may stand: in a repeated hour, its length before."""
    local = after.astimezone(zone)
    wall = local.replace(tzinfo=None)
    if local.fold:
        return wall
    again = local.replace(fold=1).utcoffset()
    width = (local.utcoffset() or timedelta()) - (again or timedelta())
    return wall - width if width > timedelta() else wall


def _instants(wall: datetime, zone: ZoneInfo, *, by_elapsed_time: bool) -> list[datetime]:
    first = wall.replace(tzinfo=zone).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) != wall:
        return [] if by_elapsed_time else [_after_the_gap(wall, zone)]
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return [first, second] if by_elapsed_time and second > first else [first]


def _after_the_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after the hour that does not exist."""
    late = wall.replace(tzinfo=zone).astimezone(UTC)
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    before = early.astimezone(zone).utcoffset()
    while late - early > SECOND:
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late
