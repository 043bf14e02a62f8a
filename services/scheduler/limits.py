"""Which queued runs may go now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

WEIGHED = frozenset({"backup", "restore"})
"""The kinds of runs that count; a test or a discovery is short, and somebody waits for it."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the limits need to know of a run."""

    run_id: UUID
    kind: str
    server_id: UUID
    pool: str
    requested_seq: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many weighed runs may be under way: on each server, in each pool.

    A server that is not named was deleted: its runs go as the pool allows, and fail at once.
    """

    servers: Mapping[UUID, int]
    pool: int


def admitted(queued: Sequence[Load], active: Sequence[Load], limits: Limits) -> list[Load]:
    """The queued runs that may go, in the order of their requests.

    A run that must wait holds up no run of another server, so each free place goes to the oldest
    request that can use it, and no request is overtaken on its own server.
    """
    weighed = [one for one in active if one.kind in WEIGHED]
    on_server = Counter(one.server_id for one in weighed)
    in_pool = Counter(one.pool for one in weighed)
    going = []
    for one in sorted(queued, key=lambda run: run.requested_seq):
        if one.kind in WEIGHED:
            limit = limits.servers.get(one.server_id, limits.pool)
            if on_server[one.server_id] >= limit or in_pool[one.pool] >= limits.pool:
                continue
            on_server[one.server_id] += 1
            in_pool[one.pool] += 1
        going.append(one)
    return going
