"""Which runs nobody will end any more (invariant I3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.scheduler.orders import VALID_FOR
from services.scheduler.state import Run
from shared.messages.values import Problem

ALONE_S = 50.0
"""A running run without a lease is given up after this long: with the rarest look within the 60 s
of invariant I3. A redelivery to a free worker takes half of it."""

MARGIN = timedelta(seconds=15)
"""Past the last moment at which a worker may begin, for clocks that differ."""

WORKER_GONE = Problem(
    code="run.abandoned",
    cause="the worker of the run is gone and no other took it over",
    fix="check that an executor of the pool runs, then start it again",
)
NEVER_BEGUN = Problem(
    code="run.never_begun",
    cause="no worker of the pool began the run in time",
    fix="check that an executor of the pool runs, then start it again",
)


class Watch:
    """How long each attempt has been without its worker's lease, as seen by one scheduler.

    A lease is only a hint and clocks stop, so the time counts from when *this* process first saw
    the attempt alone: a new scheduler starts counting anew.
    """

    def __init__(self) -> None:
        self._alone_since: dict[tuple[UUID, int], float] = {}

    def abandoned(
        self, runs: Sequence[Run], leased: Collection[tuple[str, UUID]], *, now_s: float
    ) -> list[Run]:
        """The running runs whose attempt has been alone for too long. `now_s` is monotonic."""
        alone = {
            (run.run_id, run.attempts): run
            for run in runs
            if run.status == "running" and (run.pool, run.run_id) not in leased
        }
        self._alone_since = {key: self._alone_since.get(key, now_s) for key in alone}
        return [run for key, run in alone.items() if now_s - self._alone_since[key] >= ALONE_S]


def never_begun(runs: Sequence[Run], now: datetime) -> list[Run]:
    """The dispatched runs whose orders no worker may begin any more."""
    return [
        run
        for run in runs
        if run.status == "dispatched"
        and run.dispatched_at is not None
        and now > run.dispatched_at + VALID_FOR[run.kind] + MARGIN
    ]
