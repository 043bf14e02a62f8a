"""Conflicts: what would get in each other's way, forecast from how long backups took before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from uuid import UUID

import msgspec

NAMED = 10
"""How many schedules a conflict names at most."""
HIDDEN = "another schedule"


class Clash(StrEnum):
    """What is in the way."""

    OVERLAP = "overlap"
    SERVER_BUSY = "server_busy"
    POOL_BUSY = "pool_busy"
    STORE_BUSY = "store_busy"
    BLACKOUT = "blackout"


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that is to come: from `start` to `end`, as long as the last ones took."""

    schedule_id: str
    schedule_name: str
    database_id: UUID
    server_id: UUID
    pool: str = ""
    store_id: str = ""
    start: datetime
    end: datetime


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """The first time that something is in the way, and how often it is within the forecast.

    `about`: the database, server, pool or store where; `schedules`: the names of the others.
    """

    code: Clash
    at: datetime
    times: int
    sentence: str
    about: str = ""
    schedules: list[str] = []


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """How many backups may run at once: on each server, in a pool, into a store. A server that is
    not named has room for any number."""

    servers: Mapping[UUID, int] = {}
    pool: int | None = None
    store: int | None = None


def conflicts(
    own: Sequence[Forecast], others: Iterable[Forecast], room: Room, closed: Sequence[datetime]
) -> list[Conflict]:
    """What the backups in `own` run into: each other and `others`, limits, windows.

    `closed` are slots of the schedule that a blackout holds up.
    """
    everything = [*own, *others]
    found = [
        Conflict(code=Clash.BLACKOUT, at=min(closed), times=len(closed), sentence=_CLOSED)
        for _ in closed[:1]
    ]
    found += _overlaps(own, everything)
    for server_id, there in _grouped(everything, lambda one: str(one.server_id)):
        if (limit := room.servers.get(UUID(server_id))) is not None:
            found += _busy(own, there, limit, Clash.SERVER_BUSY, server_id)
    if room.pool is not None:
        for pool, there in _grouped(everything, lambda one: one.pool):
            found += _busy(own, there, room.pool, Clash.POOL_BUSY, pool)
    if room.store is not None:
        for store_id, there in _grouped(everything, lambda one: one.store_id):
            found += _busy(own, there, room.store, Clash.STORE_BUSY, store_id)
    return found


_CLOSED = "a blackout is open"
_SENTENCES = {
    Clash.SERVER_BUSY: "the server allows no more than {limit} runs at once: some wait",
    Clash.POOL_BUSY: "the pool works on no more than {limit} runs at once: some wait",
    Clash.STORE_BUSY: "more than {limit} backups go into the store at once: all of them slow down",
}
Key = Callable[[Forecast], str]


def _overlaps(own: Sequence[Forecast], everything: Sequence[Forecast]) -> Iterator[Conflict]:
    """Backups of one database at the same time, by the schedule that the other belongs to."""
    met: dict[tuple[str, str], dict[datetime, UUID]] = {}
    theirs = dict(_grouped(everything, lambda one: str(one.database_id)))
    for one in own:
        for two in theirs[str(one.database_id)]:
            if two is not one and one.start < two.end and two.start < one.end:
                times = met.setdefault((two.schedule_name, two.schedule_id), {})
                times.setdefault(max(one.start, two.start), one.database_id)
    mine = own[0].schedule_id if own else ""
    for (name, schedule_id), times in sorted(met.items()):
        at = min(times)
        sentence = f"a backup of {name!r} of the same database runs"
        if schedule_id == mine:
            sentence = "its own backup of the slot before still runs"
        elif name == HIDDEN:
            sentence = "a backup of another schedule of the same database runs"
        yield Conflict(
            code=Clash.OVERLAP,
            at=at,
            times=len(times),
            sentence=sentence,
            about=str(times[at]),
            schedules=[] if schedule_id == mine else [name],
        )


def _busy(
    own: Sequence[Forecast], there: Sequence[Forecast], limit: int, code: Clash, about: str
) -> Iterator[Conflict]:
    """More backups at once than there is room for, while one of `own` runs."""
    mine = {id(one) for one in own}
    begins = _excesses(there, mine, limit)
    if begins:
        first = begins[0]
        beside = {
            one.schedule_name
            for one in there
            if id(one) not in mine and one.start <= first < one.end
        }
        yield Conflict(
            code=code,
            at=first,
            times=len(begins),
            sentence=_SENTENCES[code].format(limit=limit),
            about=about,
            schedules=sorted(beside)[:NAMED],
        )


def _excesses(there: Sequence[Forecast], mine: set[int], limit: int) -> list[datetime]:
    """When it begins, each time, that more than `limit` run and one of `mine` is among them."""
    steps = [(one.start, 1, int(id(one) in mine)) for one in there]
    steps += [(one.end, -1, -int(id(one) in mine)) for one in there]
    begins: list[datetime] = []
    running = of_mine = 0
    over = False
    for at, together in groupby(sorted(steps), key=lambda step: step[0]):
        for _, change, my_change in together:
            running, of_mine = running + change, of_mine + my_change
        was, over = over, running > limit and of_mine > 0
        if over and not was:
            begins.append(at)
    return begins


def _grouped(some: Iterable[Forecast], key: Key) -> list[tuple[str, list[Forecast]]]:
    found: dict[str, list[Forecast]] = {}
    for one in some:
        found.setdefault(key(one), []).append(one)
    return sorted(found.items())
