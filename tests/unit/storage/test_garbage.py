"""Which attempts are garbage, which folders of a store belong to whom, and when to look again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.storage.deletion import StrangePrefixError, folder_of
from services.storage.garbage import Attempt, is_due, is_garbage
from services.storage.scan import judged, parsed

ENDED = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATUSES = (
    "requested",
    "running",
    "completed",
    "failed",
    "cancelled",
    "expired",
    "deleting",
    "deleted",
    "a status of a later version",
)


def make_attempt(
    number: int = 1, *, status: str, latest: int = 1, archived: bool = False, **more: datetime
) -> Attempt:
    ended_at = None if status in {"requested", "running"} else ENDED
    return Attempt(
        backup_id=UUID(int=7),
        number=number,
        prefix="p",
        status=status,
        latest=latest,
        archived=archived,
        ended_at=ended_at,
        **more,
    )


@pytest.mark.parametrize(
    ("attempt", "garbage"),
    [
        (make_attempt(1, status="running", latest=1), False),
        (make_attempt(1, status="running", latest=2), True),
        (make_attempt(2, status="running", latest=2), False),
        (make_attempt(1, status="completed", latest=2, archived=True), True),
        (make_attempt(2, status="completed", latest=2, archived=True), False),
        (make_attempt(2, status="expired", latest=2, archived=True), False),
        (make_attempt(2, status="deleting", latest=2, archived=True), False),
        (make_attempt(2, status="deleted", latest=2, archived=True), True),
        (make_attempt(1, status="failed", latest=1), True),
        (make_attempt(1, status="cancelled", latest=1), True),
        (make_attempt(1, status="deleting", latest=1), True),
        (make_attempt(1, status="a status of a later version", latest=2), False),
    ],
)
def test_only_what_can_never_be_a_backup_is_garbage(attempt: Attempt, garbage: bool) -> None:
    assert is_garbage(attempt) is garbage


attempts = st.builds(
    make_attempt,
    st.integers(min_value=1, max_value=5),
    status=st.sampled_from(STATUSES),
    latest=st.integers(min_value=1, max_value=5),
    archived=st.booleans(),
)


@given(attempts)
def test_the_last_attempt_of_an_open_or_standing_backup_is_never_garbage(attempt: Attempt) -> None:
    stands = attempt.archived and attempt.status in {"completed", "expired"}
    if attempt.number >= attempt.latest and (stands or attempt.status in {"requested", "running"}):
        assert not is_garbage(attempt) or attempt.number > attempt.latest


@given(attempts, st.integers(min_value=0, max_value=10_000))
def test_a_winner_is_never_due(attempt: Attempt, minutes: int) -> None:
    winner = attempt.archived and attempt.number == attempt.latest
    if winner and attempt.status not in {"requested", "running"}:
        assert not is_due(attempt, ENDED + timedelta(minutes=minutes), HOUR)


def test_garbage_is_looked_for_at_once_again_after_an_hour_and_never_more() -> None:
    fresh = make_attempt(status="failed")
    cleared = make_attempt(status="failed", deleted_at=ENDED + timedelta(minutes=1))
    twice = make_attempt(status="failed", deleted_at=ENDED + HOUR)

    assert is_due(fresh, ENDED, HOUR)
    assert not is_due(cleared, ENDED + timedelta(minutes=59), HOUR)
    assert is_due(cleared, ENDED + HOUR, HOUR)
    assert not is_due(twice, ENDED + 1000 * HOUR, HOUR)


def test_the_second_look_waits_for_the_end_of_the_run() -> None:
    superseded = make_attempt(1, status="running", latest=2, deleted_at=ENDED)

    assert not is_due(superseded, ENDED + 1000 * HOUR, HOUR)


@pytest.mark.parametrize("prefix", ["", "/", "x/1", "{id}", "{id}/2", "{id}/1/..", "../{id}/1"])
def test_a_fact_cannot_name_the_folder_of_another(prefix: str) -> None:
    backup_id = uuid4()

    with pytest.raises(StrangePrefixError):
        folder_of(backup_id, 1, prefix.format(id=backup_id))


def test_a_folder_may_be_named_with_a_slash_at_its_end() -> None:
    backup_id = uuid4()

    assert folder_of(backup_id, 3, f"{backup_id}/3/") == f"{backup_id}/3"


KEY = UUID("0198a6b0-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        (f"{KEY}/2/manifest", (KEY, 2)),
        (f"{KEY}/02/manifest", None),
        (f"{KEY}/2/a/b", None),
        (f"{KEY}/manifest", None),
        (f"{str(KEY).upper()}/2/manifest", None),
        (f"{KEY.hex}/2/manifest", None),
        ("holdfast-test/ab", None),
        (f"{KEY}/²/manifest", None),
    ],
)
def test_only_the_own_spelling_of_a_folder_is_an_attempt(
    key: str, folder: tuple[UUID, int] | None
) -> None:
    assert parsed(key) == folder


def test_a_folder_that_the_log_does_not_know_is_reported_and_not_garbage() -> None:
    known = make_attempt(1, status="failed")
    stranger = (uuid4(), 1)

    findings = judged([(known.backup_id, 1), stranger], [known])

    assert findings.garbage == [known]
    assert findings.unknown == [stranger]
