"""Conflicts: what would get in each other's way, forecast from how long backups took before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Clash(StrEnum):
    """What is in the way."""

    OVERLAP = "overlap"
    SERVER_BUSY = "server_busy"
    BLACKOUT = "blackout"


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that is to come: from `start` to `end`, as long as the last ones took."""

    schedule_id: str
    schedule_name: str
    database_id: UUID
    server_id: UUID
    start: datetime
    end: datetime


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """The first time that something is in the way, and how often it is within the forecast."""

    code: Clash
    at: datetime
    times: int
    sentence: str


def conflicts(
    own: Sequence[Forecast],
    others: Iterable[Forecast],
    run_limits: Mapping[UUID, int],
    closed: Sequence[datetime],
) -> list[Conflict]:
    """What the backups in `own` run into: each other and `others`, limits, windows.

    `closed` are slots of the schedule that a blackout holds up.
    """
    everything = [*own, *others]
    overlaps: dict[str, list[datetime]] = {}
    busy: dict[UUID, list[datetime]] = {}
    for one in own:
        beside = [two for two in everything if two is not one and _meet(one, two)]
        for two in beside:
            if two.database_id == one.database_id:
                overlaps.setdefault(two.schedule_name, []).append(max(one.start, two.start))
        there = [two for two in beside if two.server_id == one.server_id]
        running = sum(two.start <= one.start < two.end for two in there)
        if 1 + running > run_limits.get(one.server_id, running + 1):
            busy.setdefault(one.server_id, []).append(one.start)
    return [
        *(_conflict(Clash.BLACKOUT, list(closed), "a blackout is open") for _ in closed[:1]),
        *(
            _conflict(Clash.OVERLAP, times, f"a backup of {name!r} of the same database runs")
            for name, times in sorted(overlaps.items())
        ),
        *(
            _conflict(Clash.SERVER_BUSY, times, "the server allows no more runs at once: some wait")
            for _, times in sorted(busy.items())
        ),
    ]


def _meet(one: Forecast, two: Forecast) -> bool:
    return one.start < two.end and two.start < one.end


def _conflict(code: Clash, times: list[datetime], sentence: str) -> Conflict:
    return Conflict(code=code, at=min(times), times=len(times), sentence=sentence)
