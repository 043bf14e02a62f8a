"""Says of a copy that it expired, or is kept again, and only while what that was decided on still
stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec

from shared.bus import Bus, Expect, WrongSequenceError
from shared.messages.base import Fact, consequence
from shared.messages.facts import (
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveUndeleted,
    BackupDeleted,
    BackupExpired,
    BackupUndeleted,
)
from shared.retention.deletion import (
    Facts,
    copy_is_begun,
    copy_left,
    is_begun,
    taken_back,
    wish_in,
)
from shared.retention.holds import holding, holds_in
from shared.retention.policy import Verdict

ACTOR = "service:retention"


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """What made retention look, when it judged, and how long what expired can be taken back."""

    cause: UUID | None
    at: datetime
    undo_window: timedelta


Decide: TypeAlias = Callable[[Verdict, Facts, Judging], Fact | None]
"""What is to be said of one copy, given all that was said of it; None: nothing."""


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


async def say_expired(bus: Bus, verdict: Verdict, judging: Judging) -> bool:
    """Append that the copy expired, unless it is held, unwanted or gone by now.

    False: something about the backup changed at this moment, so it is to be judged again.
    """
    held = holds_in(await _facts(bus, f"evt.backup.*.*.{verdict.candidate.backup_id}"))
    if holding(held, judging.at):
        return False
    return await _say(bus, verdict, judging, (_backup_expired, _archive_expired))


async def say_kept(bus: Bus, verdict: Verdict, judging: Judging) -> bool:
    """Append that the copy is kept again, unless its deletion has begun. False as above."""
    return await _say(bus, verdict, judging, (_backup_kept, _archive_kept))


async def _say(
    bus: Bus, verdict: Verdict, judging: Judging, deciders: tuple[Decide, Decide]
) -> bool:
    one = verdict.candidate
    of_backup, of_copy = deciders
    subject = f"evt.backup.*.*.{one.backup_id}"
    if one.archive_id is not None:
        subject = f"evt.archive.*.*.{one.archive_id}"
    facts = await _facts(bus, subject)
    decide = of_backup if one.archive_id is None else of_copy
    fact = decide(verdict, facts, judging) if facts else None
    if fact is None:
        return True
    try:
        await bus.append(fact, expect=Expect(facts[-1][0], subject))
    except WrongSequenceError:
        return False
    return True


async def _facts(bus: Bus, subject: str) -> Facts:
    return [(one.seq, one.message) for one in await bus.last_of(subject)]


def _backup_expired(verdict: Verdict, facts: Facts, judging: Judging) -> BackupExpired | None:
    gone = any(isinstance(one, BackupDeleted) for _, one in facts)
    if gone or wish_in(facts) is not None:
        return None
    again, backup_id = taken_back(facts), verdict.candidate.backup_id
    return BackupExpired(
        # Of the backup, not of the cause: several causes find the same backup outlived.
        id=consequence(backup_id, f"expired after {again}" if again else "expired"),
        actor=ACTOR,
        caused_by=judging.cause,
        backup_id=backup_id,
        reason=_outlived(verdict),
        delete_after=judging.at + judging.undo_window,
    )


def _backup_kept(verdict: Verdict, facts: Facts, judging: Judging) -> BackupUndeleted | None:
    wish = wish_in(facts)
    if not isinstance(wish, BackupExpired) or wish.delete_after is None or is_begun(facts):
        return None
    return BackupUndeleted(
        id=consequence(wish.id, "kept again"),
        actor=ACTOR,
        caused_by=judging.cause,
        backup_id=verdict.candidate.backup_id,
        reason=_kept(verdict),
    )


def _archive_expired(verdict: Verdict, facts: Facts, judging: Judging) -> ArchiveExpired | None:
    """A copy may be made anew, or kept again, so what counts is what was said last."""
    made = [one for one in facts if isinstance(one[1], ArchiveReplicated | ArchiveUndeleted)]
    if not made or copy_left(facts) or copy_is_begun(facts):
        return None
    one = verdict.candidate
    assert one.archive_id is not None  # of a further store
    return ArchiveExpired(
        id=consequence(max(made, key=_place)[1].id, "expired"),
        actor=ACTOR,
        caused_by=judging.cause,
        archive_id=one.archive_id,
        backup_id=one.backup_id,
        store_id=one.store_id,
        reason=_outlived(verdict),
        delete_after=judging.at + judging.undo_window,
    )


def _archive_kept(verdict: Verdict, facts: Facts, judging: Judging) -> ArchiveUndeleted | None:
    left = copy_left(facts)
    said = next((one for seq, one in facts if seq == left), None)
    if not isinstance(said, ArchiveExpired) or said.delete_after is None or copy_is_begun(facts):
        return None
    return ArchiveUndeleted(
        id=consequence(said.id, "kept again"),
        actor=ACTOR,
        caused_by=judging.cause,
        archive_id=said.archive_id,
        backup_id=said.backup_id,
        store_id=said.store_id,
        reason=_kept(verdict),
    )


def _place(told: tuple[int, object]) -> int:
    return told[0]


def _outlived(verdict: Verdict) -> str:
    rules = verdict.candidate.rules
    assert rules is not None  # without a policy nothing expires
    return f"policy {rules.name}: {rules.told()} are kept"


def _kept(verdict: Verdict) -> str:
    return "; ".join(reason.sentence for reason in verdict.reasons)
