"""When a backup is to go: the last word counts, and what has begun cannot be taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.messages.base import Message
from shared.messages.facts import (
    BackupDeleted,
    BackupDeleteRequested,
    BackupDeletionBegun,
    BackupExpired,
    BackupUndeleted,
)
from shared.retention.deletion import is_begun, is_over, wish_in

ID = UUID(int=7)
NOW = datetime(2026, 11, 26, tzinfo=UTC)
Kind: TypeAlias = type[Message]
SAYABLE: list[Kind] = [
    BackupDeleteRequested,
    BackupExpired,
    BackupUndeleted,
    BackupDeletionBegun,
    BackupDeleted,
]


def said(kind: Kind) -> Message:
    if kind is BackupExpired:
        return BackupExpired(backup_id=ID, reason="policy")
    if kind is BackupDeleted:
        return BackupDeleted(backup_id=ID, freed_bytes=1)
    return kind(backup_id=ID)


def last_of_each(kinds: list[Kind]) -> list[tuple[int, Message]]:
    """What the log gives back: the last fact of each kind, with its place."""
    places = {kind: seq for seq, kind in enumerate(kinds, 1)}
    return [(seq, said(kind)) for kind, seq in places.items()]


@given(st.lists(st.sampled_from(SAYABLE), max_size=8))
def test_it_is_to_go_exactly_when_something_wants_that_since_it_was_taken_back(
    kinds: list[Kind],
) -> None:
    after = (
        kinds[len(kinds) - kinds[::-1].index(BackupUndeleted) :]
        if (BackupUndeleted in kinds)
        else kinds
    )
    wish = wish_in(last_of_each(kinds))

    assert (wish is not None) == (BackupDeleteRequested in after or BackupExpired in after)
    if BackupDeleteRequested in after:
        assert isinstance(wish, BackupDeleteRequested)
    assert is_begun(last_of_each(kinds)) == (BackupDeletionBegun in after or BackupDeleted in kinds)


def test_a_wish_without_a_time_is_carried_out_at_once_and_any_other_after_its_time() -> None:
    at_once = BackupDeleteRequested(backup_id=ID)
    later = BackupDeleteRequested(backup_id=ID, delete_after=NOW + timedelta(hours=1))

    assert is_over(at_once, NOW)
    assert not is_over(later, NOW)
    assert is_over(later, NOW + timedelta(hours=1))
