"""Which schedules were not kept, seen from outside the scheduler."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shared.timetable.blackouts import Blackout, closed_by, free_from
from shared.timetable.cron import Cron
from shared.timetable.missed import GRACE, Missed
from shared.timetable.slots import between

PATIENCE = GRACE + timedelta(minutes=8)
"""How long a slot may stand without a request: longer than any change of schedulers takes."""
FURTHEST = timedelta(days=2)
"""How far it is looked back: what is older and was not requested was said, or will not be."""
MOMENT = timedelta(microseconds=1)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that is to be kept: since when, and the last slot that was requested of it.

    `whole`: of every database that it names; else that slot counts as not requested.
    """

    key: str
    cron: Cron
    zone: ZoneInfo
    jitter_s: int
    missed: Missed
    blackouts: list[Blackout]
    since: datetime
    last: datetime | None = None
    whole: bool = True


def unkept(one: Kept, now: datetime) -> datetime | None:
    """The newest slot that was to be requested by `now` and was not; None when all is well."""
    until = now - PATIENCE - timedelta(seconds=one.jitter_s)
    last = one.last if one.last is None or one.whole else one.last - MOMENT
    begin = max(one.since, last or one.since, until - FURTHEST)
    if begin >= until:
        return None
    passed = between(one.cron, one.zone, begin, until)
    return next((slot for slot in reversed(passed) if _was_due(one, slot, until)), None)


def _was_due(one: Kept, slot: datetime, until: datetime) -> bool:
    """Whether no blackout let it pass, or holds it back still."""
    if one.missed is Missed.SKIP and closed_by(slot, one.blackouts):
        return False
    if free_from(slot, one.blackouts) > until:
        return False
    spread = timedelta(seconds=one.jitter_s)
    # What its jitter puts into a blackout waits for the end of that.
    return free_from(slot + spread, one.blackouts) <= until + spread


def is_kept_again(one: Kept, missed: datetime) -> bool:
    """Whether the slot that was missed, or a later one, was requested after all."""
    return one.whole and one.last is not None and one.last >= missed
