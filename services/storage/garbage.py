"""Which attempts left garbage in a store, and when it is looked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

_OPEN = frozenset({"requested", "running"})
_ENDED = frozenset({"completed", "failed", "cancelled", "expired", "deleting", "deleted"})


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a backup, and what is known of the backup at one point of the log.

    `latest` is the number of the backup's last attempt; `archived`: the backup completed, by its
    last attempt. `ended_at`: when its run ended. `deleted_at`: when the store was last cleared.
    """

    backup_id: UUID
    number: int
    prefix: str
    status: str
    latest: int
    archived: bool
    ended_at: datetime | None
    deleted_at: datetime | None = None


def is_garbage(attempt: Attempt) -> bool:
    """Whether what the attempt wrote can never become, or be again, a part of a backup.

    True stays true: attempts only follow each other and each has its own prefix, so to delete
    on an old state is safe. A status unknown here means: hands off.
    """
    if attempt.status in _OPEN:
        return attempt.number < attempt.latest
    if attempt.archived and attempt.number == attempt.latest:
        return attempt.status == "deleted"
    return attempt.status in _ENDED


def is_due(attempt: Attempt, now: datetime, second_look: timedelta) -> bool:
    """Whether the garbage is to be looked for now: at once, and again for late writers."""
    if not is_garbage(attempt) or is_winner(attempt):
        return False
    if attempt.deleted_at is None:
        return True
    if attempt.ended_at is None:
        return False
    again_at = attempt.ended_at + second_look
    return attempt.deleted_at < again_at <= now


def is_winner(attempt: Attempt) -> bool:
    """Whether the attempt is the one that completed the backup."""
    return attempt.archived and attempt.number == attempt.latest and attempt.status not in _OPEN
