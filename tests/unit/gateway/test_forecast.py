"""When a store will be full."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.forecast import FEWEST_DAYS, daily_growth, full_on

TODAY = date(2026, 11, 26)


@given(st.integers(1, 10**12), st.integers(0, 10**15), st.integers(FEWEST_DAYS, 30))
def test_a_steady_growth_is_found_and_the_day_it_reaches(
    growth: int, start: int, days: int
) -> None:
    held = [start + growth * day for day in range(days)]

    assert daily_growth(held) == pytest.approx(growth, rel=1e-6)
    expected = TODAY + timedelta(days=10)
    found = full_on(held, held[-1] + 10 * growth, TODAY)
    assert found in {expected - timedelta(days=1), expected}


@pytest.mark.parametrize(
    ("held", "capacity"),
    [
        ([1, 2, 3], 10),  # too few days to know
        ([9] * 10, 100),  # it does not grow
        ([*range(20, 0, -1)], 100),  # it shrinks
        ([*range(10)], None),  # nobody said how much there is
        ([*range(10)], 10**9),  # not within ten years
    ],
)
def test_what_cannot_be_known_is_not_said(held: list[int], capacity: int | None) -> None:
    assert full_on(held, capacity, TODAY) is None


def test_a_store_that_is_full_is_full_today() -> None:
    assert full_on([*range(10, 20)], 15, TODAY) == TODAY
