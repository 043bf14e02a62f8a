"""What an executor decides about an order, however often and late it comes."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from services.executor.attempts import (
    EXHAUSTED,
    EXPIRED,
    LOST,
    Attempt,
    Cancel,
    Decision,
    Fail,
    History,
    Leave,
    decide,
    history,
)
from shared.messages.base import Fact, now
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupFailed,
    RestoreAttempted,
)
from shared.messages.values import Problem

NOW = now()


def attempted(number: int) -> BackupAttempted:
    return BackupAttempted(
        backup_id=uuid4(), run_id=uuid4(), attempt=number, worker="w", store_id="s", prefix="p"
    )


def decided(past: History, *, cancel: bool = False, late: bool = False) -> Decision:
    not_after = NOW + timedelta(seconds=-1 if late else 1)
    return decide(past, cancel_wanted=cancel, now=NOW, not_after=not_after, limit=3)


@pytest.mark.parametrize(
    ("past", "cancel", "late", "expected"),
    [
        (History(), False, False, Attempt(1)),
        (History(7, 2), False, False, Attempt(3)),
        (History(7, 3), False, False, Fail(EXHAUSTED)),
        (History(), False, True, Fail(EXPIRED)),
        (History(7, 1), False, True, Fail(LOST)),
        (History(), True, False, Cancel()),
        (History(7, 3), True, True, Cancel()),
        (History(7, 1, ended=True), True, True, Leave()),
    ],
)
def test_there_is_one_right_next_step(
    past: History, cancel: bool, late: bool, expected: Decision
) -> None:
    assert decided(past, cancel=cancel, late=late) == expected


@pytest.mark.parametrize("cls", [BackupFailed, BackupCancelled])
def test_any_ending_ends_it(cls: type[BackupFailed] | type[BackupCancelled]) -> None:
    fields = {"problem": Problem(code="c", cause="c")} if cls is BackupFailed else {}
    ending: Fact = cls(backup_id=uuid4(), run_id=uuid4(), attempt=1, **fields)

    assert history([(3, attempted(1)), (5, ending)]) == History(5, 1, ended=True)


def test_the_history_counts_attempts_and_keeps_the_last_sequence_in_any_order() -> None:
    restore = RestoreAttempted(restore_id=uuid4(), run_id=uuid4(), attempt=4, worker="w")

    assert history([]) == History()
    assert history([(9, attempted(2)), (4, attempted(1))]) == History(9, 2)
    assert history([(6, restore)]) == History(6, 4)
