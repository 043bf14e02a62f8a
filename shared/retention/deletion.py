"""Whether a backup, or a copy of it, is to go, as its facts tell it: wished or expired, taken back,
or begun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from shared.messages.base import Message
from shared.messages.facts import (
    ArchiveDeleted,
    ArchiveDeletionBegun,
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveUndeleted,
    BackupDeleted,
    BackupDeleteRequested,
    BackupDeletionBegun,
    BackupExpired,
    BackupUndeleted,
)

Facts = Sequence[tuple[int, Message]]
"""The last fact of each kind about one backup, each with its place in the log."""

Wish = BackupDeleteRequested | BackupExpired


def wish_in(facts: Facts) -> Wish | None:
    """Why the backup is to go, unless that was taken back; what somebody wants comes first."""
    standing = [one for seq, one in facts if isinstance(one, Wish) and seq > taken_back(facts)]
    asked = [one for one in standing if isinstance(one, BackupDeleteRequested)]
    return next(iter([*asked, *standing]), None)


def taken_back(facts: Facts) -> int:
    """Where it stands that the deletion was taken back; 0 when it never was."""
    return _place(facts, BackupUndeleted)


def is_begun(facts: Facts) -> bool:
    """Whether objects may be gone already: then nobody can take it back."""
    begun = _place(facts, BackupDeletionBegun)
    return begun > taken_back(facts) or _place(facts, BackupDeleted) > 0


def copy_left(facts: Facts) -> int:
    """Where it stands that the copy in a further store expired; 0 when it did not, or is kept
    again, or was made anew."""
    back = max(_place(facts, ArchiveReplicated), _place(facts, ArchiveUndeleted))
    left = _place(facts, ArchiveExpired)
    return left if left > back else 0


def copy_is_due(facts: Facts, at: datetime) -> bool:
    """Whether the copy expired, and the time is over in which that can be taken back."""
    left = copy_left(facts)
    said = (fact for seq, fact in facts if seq == left)
    return any(
        isinstance(one, ArchiveExpired) and _has_passed(one.delete_after, at) for one in said
    )


def copy_is_begun(facts: Facts) -> bool:
    """Whether objects of the copy may be gone already."""
    begun = max(_place(facts, ArchiveDeletionBegun), _place(facts, ArchiveDeleted))
    return begun > _place(facts, ArchiveReplicated)


def is_over(wish: Wish, at: datetime) -> bool:
    """Whether the time is over in which it can be taken back."""
    return _has_passed(wish.delete_after, at)


def _has_passed(moment: datetime | None, at: datetime) -> bool:
    return moment is None or moment <= at


def _place(facts: Iterable[tuple[int, Message]], kind: type[Message]) -> int:
    return max((seq for seq, one in facts if isinstance(one, kind)), default=0)
