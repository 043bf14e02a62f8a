"""An archive whose envelope opens no more is damaged, whatever its other objects are like: said at
once by whoever finds out, so that a good copy takes its place."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec

from shared.archive.errors import ArchiveError, EnvelopeTamperedError, TruncatedError
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import UnavailableError
from shared.messages.facts import (
    ArchiveCorrupted,
    ArchiveReplicated,
    ArchiveVerified,
    BackupCorrupted,
    BackupMoved,
    BackupVerified,
)
from shared.messages.values import Problem
from shared.retention.deletion import Facts, copy_is_begun, copy_left, is_begun, wish_in
from shared.stores import Store
from shared.stores.marker import require_marked

ACTOR = "service:scheduler"
_SOUND = BackupVerified | ArchiveVerified | ArchiveReplicated


class EnvelopeDamagedError(UnavailableError):
    """The archive's envelope is damaged, which was said just now; another may be chosen."""

    code = "archive.envelope_damaged"
    default_fix = "wait: a copy that stands whole is looked for"


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that does not open; `archive_id` is a copy's."""

    backup_id: UUID
    archive_id: UUID | None
    store_id: str
    prefix: str


def is_damage(error: ArchiveError) -> bool:
    """Whether it is the envelope's fault, not that of the keys at hand."""
    return isinstance(error, EnvelopeTamperedError | TruncatedError)


async def say_damaged(bus: Bus, store: Store, one: Suspect, error: ArchiveError) -> None:
    """Say that the archive is corrupt, unless that was said last, or it has left the store since.

    Raises NotMountedError where what answers is not the store that was written to.
    """
    await _require_there(store, one)
    subject = f"evt.backup.*.*.{one.backup_id}"
    if one.archive_id is not None:
        subject = f"evt.archive.*.*.{one.archive_id}"
    told = [(said.seq, said.message) for said in await bus.last_of(subject)]
    if _has_left(told, one) or _is_said(told):
        return
    last = max((seq for seq, _ in told), default=0)
    with suppress(WrongSequenceError):  # whatever it was, the next try looks again
        await bus.append(_fact(one, error), expect=Expect(last, subject))


async def _require_there(store: Store, one: Suspect) -> None:
    """Nothing at all is what an empty folder holds, too, where the store is not mounted."""
    async for _ in store.list(one.prefix):
        return
    await require_marked(store, one.store_id)


def _has_left(told: Facts, one: Suspect) -> bool:
    if one.archive_id is not None:
        return copy_left(told) > 0 or copy_is_begun(told)
    moved = max(
        ((seq, fact.to_store_id) for seq, fact in told if isinstance(fact, BackupMoved)),
        default=(0, one.store_id),
    )
    return moved[1] != one.store_id or wish_in(told) is not None or is_begun(told)


def _is_said(told: Facts) -> bool:
    found = (BackupCorrupted, ArchiveCorrupted)
    corrupt = max((seq for seq, fact in told if isinstance(fact, found)), default=0)
    return corrupt > max((seq for seq, fact in told if isinstance(fact, _SOUND)), default=0)


def _fact(one: Suspect, error: ArchiveError) -> BackupCorrupted | ArchiveCorrupted:
    problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
    about: dict[str, Any] = {"actor": ACTOR, "backup_id": one.backup_id, "problem": problem}
    if one.archive_id is not None:
        return ArchiveCorrupted(**about, archive_id=one.archive_id, store_id=one.store_id)
    # What is changed may have the right form: no reading by hashes alone takes that back. That
    # something is missing, any reading finds, and also that it is there again.
    return BackupCorrupted(**about, deep=isinstance(error, EnvelopeTamperedError))
