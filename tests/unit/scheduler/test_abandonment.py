"""Runs that nobody will end: found in time, and never while a worker holds them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from services.scheduler.abandonment import (
    MARGIN,
    PATIENCE_S,
    WORKERLESS_S,
    Watch,
    never_begun,
)
from services.scheduler.orders import VALID_FOR
from services.scheduler.state import Run

AT = datetime(2026, 1, 1, tzinfo=UTC)


def run(status: str = "running", *, kind: str = "backup", attempts: int = 1) -> Run:
    return Run(
        run_id=uuid4(),
        kind=kind,
        object_id=uuid4(),
        server_id=UUID(int=1),
        pool="core",
        requested_seq=7,
        status=status,
        attempts=attempts,
        cancel_requested=False,
        dispatched_at=AT,
    )


@pytest.mark.parametrize(
    ("workers_live", "limit_s"), [(False, WORKERLESS_S), (True, PATIENCE_S)], ids=["dead", "alive"]
)
def test_a_run_alone_for_too_long_is_abandoned(workers_live: bool, limit_s: float) -> None:
    watch, one = Watch(), run()

    found = [
        watch.abandoned([one], (), workers_live=workers_live, now_s=at)
        for at in (100.0, 100.0 + limit_s - 0.1, 100.0 + limit_s)
    ]

    assert found == [[], [], [one]]


def test_a_lease_seen_in_between_starts_the_time_anew() -> None:
    watch, one = Watch(), run()
    watch.abandoned([one], (), workers_live=False, now_s=0.0)
    watch.abandoned([one], {one.run_id}, workers_live=False, now_s=50.0)

    assert not watch.abandoned([one], (), workers_live=False, now_s=WORKERLESS_S)
    assert watch.abandoned([one], (), workers_live=False, now_s=2 * WORKERLESS_S)


def test_another_attempt_starts_the_time_anew() -> None:
    watch, one = Watch(), run()
    watch.abandoned([one], (), workers_live=False, now_s=0.0)
    again = msgspec.structs.replace(one, attempts=2)

    assert not watch.abandoned([again], (), workers_live=False, now_s=WORKERLESS_S)


@pytest.mark.parametrize("status", ["requested", "dispatched"])
def test_a_run_that_no_worker_has_begun_waits(status: str) -> None:
    watch, one = Watch(), run(status)
    watch.abandoned([one], (), workers_live=False, now_s=0.0)

    assert not watch.abandoned([one], (), workers_live=False, now_s=2 * PATIENCE_S)


@pytest.mark.parametrize("kind", list(VALID_FOR))
def test_an_order_that_no_worker_may_begin_any_more_ends_its_run(kind: str) -> None:
    one, last = run("dispatched", kind=kind), AT + VALID_FOR[kind] + MARGIN

    assert never_begun([one], last) == []
    assert never_begun([one], last + timedelta(seconds=1)) == [one]
    assert never_begun([run("running", kind=kind)], last + timedelta(days=9)) == []
