"""Blackouts: windows in which nothing starts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shared.timetable.cron import Cron
from shared.timetable.slots import between

LONGEST_MINUTES = 7 * 24 * 60
ROUNDS = 32
"""Windows that follow each other without a pause: after so many the search ends."""


class Blackout(msgspec.Struct, frozen=True, kw_only=True):
    """A window: it opens at each slot of `cron` in `zone` and closes `minutes` later."""

    id: str
    cron: Cron
    zone: ZoneInfo
    minutes: int

    def closes(self, at: datetime) -> datetime | None:
        """When the window that is open at `at` closes; None when it is not open."""
        length = timedelta(minutes=self.minutes)
        opened = between(self.cron, self.zone, at - length, at)
        return opened[-1] + length if opened else None


def closed_by(at: datetime, blackouts: Iterable[Blackout]) -> list[str]:
    """The ids of the blackouts that are open at `at`."""
    return [one.id for one in blackouts if one.closes(at) is not None]


def free_from(at: datetime, blackouts: Iterable[Blackout]) -> datetime:
    """The first moment from `at` on that no blackout covers."""
    known = list(blackouts)
    for _ in range(ROUNDS):
        ends = [end for one in known if (end := one.closes(at)) is not None]
        if not ends:
            return at
        at = max(ends)
    return at
