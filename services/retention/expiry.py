"""Says of a copy that it expired, once, and only while what that was decided on still stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.messages.base import Fact, consequence
from shared.messages.facts import (
    ArchiveDeleted,
    ArchiveExpired,
    ArchiveReplicated,
    BackupDeleted,
    BackupExpired,
)
from shared.retention.deletion import taken_back, wish_in
from shared.retention.holds import holding, holds_in
from shared.retention.policy import Candidate, Verdict

ACTOR = "service:retention"


async def newest_setting(bus: Bus, database_id: UUID, expired: Sequence[Verdict]) -> int:
    """Where the last of the settings stands that let these copies of the database expire."""
    subjects = {f"cfg.database.{database_id}"}
    for one in (verdict.candidate for verdict in expired):
        if one.rules is not None:
            subjects.add(f"cfg.policy.{one.rules.id}")
        if one.schedule_id is not None:
            subjects.add(f"cfg.schedule.{one.schedule_id}")
    found = [delivery for subject in subjects for delivery in await bus.last_of(subject)]
    return max((delivery.seq for delivery in found), default=0)


async def say_expired(
    bus: Bus, candidate: Candidate, at: datetime, cause: UUID | None, undo_window: timedelta
) -> bool:
    """Append the fact, unless the copy is held, unwanted or gone by now.

    False: something about the backup changed at this moment, so it is to be judged again.
    """
    about_backup = f"evt.backup.*.*.{candidate.backup_id}"
    told = await bus.last_of(about_backup)
    if holding(holds_in((one.seq, one.message) for one in told), at):
        return False
    if candidate.archive_id is None:
        fact = _backup_expired(candidate, told, cause, at, undo_window)
        return await _say(bus, fact, told, about_backup)
    about_copy = f"evt.archive.*.*.{candidate.archive_id}"
    told = await bus.last_of(about_copy)
    return await _say(bus, _archive_expired(candidate, told, cause), told, about_copy)


async def _say(bus: Bus, fact: Fact | None, told: Sequence[Delivery], subject: str) -> bool:
    if fact is None:
        return True
    try:
        await bus.append(fact, expect=Expect(told[-1].seq, subject))
    except WrongSequenceError:
        return False
    return True


def _backup_expired(
    candidate: Candidate,
    told: Sequence[Delivery],
    cause: UUID | None,
    at: datetime,
    undo_window: timedelta,
) -> BackupExpired | None:
    facts = [(one.seq, one.message) for one in told]
    gone = any(isinstance(one, BackupDeleted) for _, one in facts)
    if not told or gone or wish_in(facts) is not None:
        return None
    again = taken_back(facts)
    return BackupExpired(
        # Of the backup, not of the cause: several causes find the same backup outlived.
        id=consequence(candidate.backup_id, f"expired after {again}" if again else "expired"),
        actor=ACTOR,
        caused_by=cause,
        backup_id=candidate.backup_id,
        reason=_reason(candidate),
        delete_after=at + undo_window,
    )


def _archive_expired(
    candidate: Candidate, told: Sequence[Delivery], cause: UUID | None
) -> ArchiveExpired | None:
    """A copy may be made anew after it was deleted, so what counts is what was said last."""
    made = max((one.seq for one in told if isinstance(one.message, ArchiveReplicated)), default=0)
    gone = (ArchiveExpired, ArchiveDeleted)
    if any(isinstance(one.message, gone) and one.seq > made for one in told):
        return None
    if not made or candidate.archive_id is None:
        return None
    replicated = next(one.message for one in told if one.seq == made)
    return ArchiveExpired(
        id=consequence(replicated.id, "expired"),
        actor=ACTOR,
        caused_by=cause,
        archive_id=candidate.archive_id,
        backup_id=candidate.backup_id,
        store_id=candidate.store_id,
        reason=_reason(candidate),
    )


def _reason(candidate: Candidate) -> str:
    rules = candidate.rules
    assert rules is not None  # without a policy nothing expires
    return f"policy {rules.name}: {rules.told()} are kept"
