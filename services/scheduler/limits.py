"""Which queued runs may go now, and why the others wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import msgspec

from shared.messages.values import Problem

WEIGHED = frozenset({"backup", "restore", "verification"})
"""The kinds of runs that count; a test or a discovery is short, and somebody waits for it."""
PAUSABLE = WEIGHED | {"command"}
"""The kinds of runs that wait while dispatch is paused."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the limits need to know of a run. `store_id`: what it writes to or reads from."""

    run_id: UUID
    kind: str
    server_id: UUID
    pool: str
    requested_seq: int
    store_id: str | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many weighed runs may be under way: on each server, with each store, in each pool.

    0 is no limit of a server or store, and so is a store that is not named. A server that is not
    named was deleted: its runs go as the pool allows, and fail at once. `paused`: nothing goes
    but what somebody waits for.
    """

    servers: Mapping[UUID, int]
    pool: int
    stores: Mapping[str, int] = {}
    paused: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that go, in the order of their requests, and why each of the others waits."""

    going: list[Load]
    waiting: dict[UUID, Problem]


def decided(queued: Sequence[Load], active: Sequence[Load], limits: Limits) -> Decision:
    """Which of the queued runs may go beside those that are active.

    A run that must wait holds up no run that needs something else, so each free place goes to the
    oldest request that can use it, and no request is overtaken by one that needs the same.
    """
    taken = Counter(place for one in active for place in _places(one, limits))
    going, waiting = [], {}
    for one in sorted(queued, key=lambda run: run.requested_seq):
        places = [*_places(one, limits)]
        full = next((place for place in places if taken[place] >= place.limit), None)
        if limits.paused and one.kind in PAUSABLE:
            waiting[one.run_id] = PAUSED
        elif full is not None:
            waiting[one.run_id] = _busy(full)
        else:
            taken.update(places)
            going.append(one)
    return Decision(going=going, waiting=waiting)


class _Place(msgspec.Struct, frozen=True):
    """Something that a run takes a part of."""

    what: str
    which: str
    limit: int


def _places(run: Load, limits: Limits) -> Iterator[_Place]:
    if run.kind not in WEIGHED:
        return
    yield _Place("pool", run.pool, limits.pool)
    asks_server = run.kind != "verification"  # which reads from the store alone
    if asks_server and (limit := limits.servers.get(run.server_id, limits.pool)) > 0:
        yield _Place("server", str(run.server_id), limit)
    if run.store_id is not None and (limit := limits.stores.get(run.store_id, 0)) > 0:
        yield _Place("store", run.store_id, limit)


PAUSED = Problem(
    code="dispatch.paused",
    cause="somebody paused the dispatch of runs",
    fix="resume it: holdfast dispatch resume",
)
_RAISE = {
    "pool": "nothing: it begins when one ends; POOL_LIMIT of the scheduler allows more at once",
    "server": "nothing: it begins when one ends; the server's run_limit allows more at once",
    "store": "nothing: it begins when one ends; the store's run_limit allows more at once",
}


def _busy(place: _Place) -> Problem:
    return Problem(
        code=f"{place.what}.busy",
        cause=f"as many runs are under way as the {place.what} allows: {place.limit}",
        fix=_RAISE[place.what],
    )
