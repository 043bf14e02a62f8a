"""Runs that nobody will end: found in time, and never while a worker holds them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from services.scheduler.abandonment import (
    ALONE_S,
    MARGIN,
    Watch,
    never_begun,
)
from services.scheduler.orders import VALID_FOR
from services.scheduler.service import LOOK_EVERY_S
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


def test_a_run_alone_for_too_long_is_abandoned() -> None:
    watch, one = Watch(), run()

    found = [
        watch.abandoned([one], (), now_s=at)
        for at in (100.0, 100.0 + ALONE_S - 0.1, 100.0 + ALONE_S)
    ]

    assert found == [[], [], [one]]


def test_a_lease_seen_in_between_starts_the_time_anew() -> None:
    watch, one = Watch(), run()
    watch.abandoned([one], (), now_s=0.0)
    watch.abandoned([one], {(one.pool, one.run_id)}, now_s=50.0)

    assert not watch.abandoned([one], (), now_s=ALONE_S)
    assert watch.abandoned([one], (), now_s=2 * ALONE_S)


def test_a_lease_of_another_pool_on_the_same_run_is_none() -> None:
    watch, one = Watch(), run()

    watch.abandoned([one], {("elsewhere", one.run_id)}, now_s=0.0)

    assert watch.abandoned([one], {("elsewhere", one.run_id)}, now_s=ALONE_S) == [one]


def test_what_is_found_in_the_last_moment_is_found_within_a_minute_of_the_lease() -> None:
    assert ALONE_S + 2 * LOOK_EVERY_S <= 60


def test_another_attempt_starts_the_time_anew() -> None:
    watch, one = Watch(), run()
    watch.abandoned([one], (), now_s=0.0)
    again = msgspec.structs.replace(one, attempts=2)

    assert not watch.abandoned([again], (), now_s=ALONE_S)


@pytest.mark.parametrize("status", ["requested", "dispatched"])
def test_a_run_that_no_worker_has_begun_waits(status: str) -> None:
    watch, one = Watch(), run(status)
    watch.abandoned([one], (), now_s=0.0)

    assert not watch.abandoned([one], (), now_s=2 * ALONE_S)


@pytest.mark.parametrize("kind", list(VALID_FOR))
def test_an_order_that_no_worker_may_begin_any_more_ends_its_run(kind: str) -> None:
    one, last = run("dispatched", kind=kind), AT + VALID_FOR[kind] + MARGIN

    assert never_begun([one], last) == []
    assert never_begun([one], last + timedelta(seconds=1)) == [one]
    assert never_begun([run("running", kind=kind)], last + timedelta(days=9)) == []
