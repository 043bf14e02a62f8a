"""An archive whose envelope opens no more is damaged, whatever its other objects are like: said at
once by whoever finds out, so that a good copy takes its place."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from shared.archive.errors import ArchiveError, EnvelopeTamperedError, TruncatedError
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import UnavailableError
from shared.messages.facts import (
    ArchiveCorrupted,
    ArchiveReplicated,
    ArchiveVerified,
    BackupCorrupted,
    BackupVerified,
)
from shared.messages.values import Problem

ACTOR = "service:scheduler"
_SOUND = (BackupVerified, ArchiveVerified, ArchiveReplicated)


class EnvelopeDamagedError(UnavailableError):
    """The archive's envelope is damaged, which was said just now; another may be chosen."""

    code = "archive.envelope_damaged"
    default_fix = "wait: a copy that stands whole is looked for"


def is_damage(error: ArchiveError) -> bool:
    """Whether it is the envelope's fault, not that of the keys at hand."""
    return isinstance(error, EnvelopeTamperedError | TruncatedError)


async def say_damaged(
    bus: Bus, backup_id: UUID, archive_id: UUID | None, store_id: str, error: ArchiveError
) -> None:
    """Say that the archive is corrupt, unless that was said last; `archive_id` is a copy's."""
    problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
    about: dict[str, Any] = {"actor": ACTOR, "backup_id": backup_id, "problem": problem}
    fact: BackupCorrupted | ArchiveCorrupted
    if archive_id is None:
        # Its other bytes may all be right: no reading by hashes alone takes this back.
        fact = BackupCorrupted(**about, deep=True)
        said = f"evt.backup.*.core.{backup_id}"
    else:
        fact = ArchiveCorrupted(**about, archive_id=archive_id, store_id=store_id)
        said = f"evt.archive.*.core.{archive_id}"
    last = await bus.last_of(said)
    corrupt = max((one.seq for one in last if isinstance(one.message, type(fact))), default=0)
    sound = max((one.seq for one in last if isinstance(one.message, _SOUND)), default=0)
    if corrupt > sound:
        return
    with suppress(WrongSequenceError):  # somebody else found it, too
        await bus.append(fact, expect=Expect(corrupt))
