"""Missed slots: what still runs of those that passed while nobody could say so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

GRACE = timedelta(minutes=2)
"""A slot this late is not missed: it is as long as the change from one scheduler to another."""


class Missed(StrEnum):
    """What a schedule wants of the slots that it missed."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    RUN_ALL = "run_all"


def still_due(
    passed: Sequence[datetime], now: datetime, missed: Missed, within_s: int, jitter_s: int = 0
) -> list[datetime]:
    """Which of the slots that passed (ascending) are to run at `now`, at least in part.

    `skip` those on time only, `run_all` all that are not older than `within_s`, `run_once` the
    newest of them. A slot's last start is `jitter_s` after it: see `is_late` for each.
    """
    oldest = now - lateness(missed, within_s) - timedelta(seconds=jitter_s)
    living = [slot for slot in passed if slot >= oldest]
    return living[-1:] if missed is Missed.RUN_ONCE else living


def is_late(start: datetime, now: datetime, missed: Missed, within_s: int) -> bool:
    """Whether a start, jitter included, is too late at `now` to be made up for."""
    return now - start > lateness(missed, within_s)


def lateness(missed: Missed, within_s: int) -> timedelta:
    """How late a start may be."""
    return GRACE if missed is Missed.SKIP else max(GRACE, timedelta(seconds=within_s))
