"""Quotas: a backup that has no room is refused before anything is dumped."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.errors import QuotaExceededError
from services.scheduler.quotas import PROMISED_FOR_S, Filling, Need, Quotas


def need(wanted: int, *, stored: int = 0, promised: dict[UUID, int] | None = None) -> Need:
    one = Filling(name="the store s", quota_bytes=100, stored_bytes=stored, promised=promised or {})
    return Need(wanted_bytes=wanted, fillings=[one])


def test_what_is_stored_and_under_way_and_wanted_must_fit() -> None:
    quotas = Quotas(lambda: 0.0)

    quotas.admit(uuid4(), need(40, stored=30, promised={uuid4(): 30}))
    with pytest.raises(QuotaExceededError, match="the store s holds or awaits 61 of 100"):
        Quotas(lambda: 0.0).admit(uuid4(), need(40, stored=31, promised={uuid4(): 30}))


def test_a_full_store_takes_not_even_a_backup_of_unknown_size() -> None:
    with pytest.raises(QuotaExceededError):
        Quotas(lambda: 0.0).admit(uuid4(), need(0, stored=100))


def test_an_own_promise_is_no_obstacle_when_it_is_asked_again() -> None:
    run, quotas = uuid4(), Quotas(lambda: 0.0)

    quotas.admit(run, need(100))
    quotas.admit(run, need(100))
    quotas.admit(run, need(100, promised={run: 100}))


def test_an_admission_that_never_became_a_run_is_forgotten() -> None:
    at = 0.0
    quotas = Quotas(lambda: at)
    quotas.admit(uuid4(), need(100))
    with pytest.raises(QuotaExceededError):
        quotas.admit(uuid4(), need(1))

    at = PROMISED_FOR_S
    quotas.admit(uuid4(), need(1))


@given(st.lists(st.integers(0, 60), max_size=20))
def test_backups_that_begin_at_the_same_moment_never_exceed_the_quota_together(
    sizes: list[int],
) -> None:
    quotas, admitted = Quotas(lambda: 0.0), 0
    for size in sizes:
        try:
            quotas.admit(uuid4(), need(size))
        except QuotaExceededError:
            assert admitted + size > 100 or admitted >= 100
        else:
            admitted += size

    assert admitted <= 100
