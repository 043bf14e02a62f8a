"""When a store will be full: a straight line through what it held on each of the last days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

FEWEST_DAYS = 7
FURTHEST = timedelta(days=3650)


def daily_growth(held: Sequence[int]) -> float | None:
    """Bytes a day, by least squares over the bytes held at the end of each day, oldest first.

    None with fewer than FEWEST_DAYS: a guess from less would look like knowledge.
    """
    count = len(held)
    if count < FEWEST_DAYS:
        return None
    middle = (count - 1) / 2
    average = sum(held) / count
    spread = sum((day - middle) ** 2 for day in range(count))
    return sum((day - middle) * (value - average) for day, value in enumerate(held)) / spread


def full_on(held: Sequence[int], capacity: int | None, today: date) -> date | None:
    """The day on which `capacity` bytes are reached; None: unknown, or not within ten years."""
    growth = daily_growth(held)
    if capacity is None or growth is None or growth <= 0:
        return None
    left = max(capacity - held[-1], 0)
    days = timedelta(days=min(left / growth, FURTHEST.days + 1))
    return today + days if days <= FURTHEST else None
