"""What a policy keeps, for any history of backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.retention.policy import Candidate, outlived

START = datetime(2026, 1, 1, tzinfo=UTC)


def candidate(day: int, *, verified: bool = False, corrupt: bool = False) -> Candidate:
    return Candidate(
        id=UUID(int=day + 1),
        completed_at=START + timedelta(days=day),
        verified=verified,
        corrupt=corrupt,
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Candidate]:
    kinds = draw(st.lists(st.sampled_from(["unverified", "verified", "corrupt"]), max_size=12))
    made = [
        candidate(day, verified=kind == "verified", corrupt=kind == "corrupt")
        for day, kind in enumerate(kinds)
    ]
    return draw(st.permutations(made))


places = st.integers(min_value=0, max_value=8)


def test_the_newest_verified_backups_are_kept() -> None:
    history = [candidate(day, verified=True) for day in range(5)]

    assert outlived(history, 2) == history[:3]


def test_a_corrupt_backup_fills_no_place() -> None:
    old, damaged, new = candidate(0, verified=True), candidate(1, corrupt=True), candidate(2)

    assert outlived([old, damaged, new], 2) == []


def test_a_corrupt_backup_behind_enough_good_ones_goes() -> None:
    damaged, *good = candidate(0, corrupt=True), candidate(1, verified=True), candidate(2)

    assert outlived([damaged, *good], 2) == [damaged]


def test_the_last_verified_backup_outlives_newer_unverified_ones() -> None:
    proven, *newer = candidate(0, verified=True), candidate(1), candidate(2), candidate(3)

    assert outlived([proven, *newer], 1) == newer[:2]


def test_nothing_goes_before_one_backup_has_been_verified() -> None:
    assert outlived([candidate(day) for day in range(6)], 1) == []


@given(histories(), places)
def test_the_newest_good_backups_stay(history: list[Candidate], keep_last: int) -> None:
    gone = outlived(history, keep_last)

    good = sorted((c for c in history if not c.corrupt), key=lambda c: c.completed_at)
    assert not set(good[-max(keep_last, 1) :]) & set(gone)


@given(histories(), places)
def test_the_last_verified_backup_stays(history: list[Candidate], keep_last: int) -> None:
    gone = outlived(history, keep_last)

    verified = [c for c in history if c.verified]
    assert not verified or max(verified, key=lambda c: c.completed_at) not in gone


@given(histories(), places)
def test_what_stays_is_no_more_than_the_places_the_proven_one_and_recent_damage(
    history: list[Candidate], keep_last: int
) -> None:
    gone = outlived(history, keep_last)

    left = [c for c in history if c not in gone and not c.corrupt]
    assert len(left) <= max(keep_last, 1) + 1 or not any(c.verified for c in history)


@given(histories(), places)
def test_to_judge_again_after_the_expiry_expires_nothing_more(
    history: list[Candidate], keep_last: int
) -> None:
    gone = outlived(history, keep_last)

    assert outlived([c for c in history if c not in gone], keep_last) == []


@given(histories(), places)
def test_to_keep_more_never_expires_more(history: list[Candidate], keep_last: int) -> None:
    assert set(outlived(history, keep_last + 1)) <= set(outlived(history, keep_last))


@given(histories(), places)
def test_the_oldest_goes_first(history: list[Candidate], keep_last: int) -> None:
    gone = [c.completed_at for c in outlived(history, keep_last)]

    assert gone == sorted(gone)
