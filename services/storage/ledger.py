"""What the log says of one backup, and what storage adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from services.storage.catalogue import Catalogue
from services.storage.verification import Written, written
from shared.bus import Bus, Expect, WrongSequenceError
from shared.messages.base import consequence, now
from shared.messages.facts import (
    BackupCompleted,
    BackupCorrupted,
    BackupDeleted,
    BackupDeleteRequested,
    BackupDeletionBegun,
    BackupExpired,
    BackupImported,
    BackupMoved,
    BackupRewrapped,
)
from shared.messages.facts.backups import BackupFact
from shared.messages.values import Problem
from shared.retention.deletion import Wish, is_begun, is_over, wish_in
from shared.retention.holds import holding, holds_in

ACTOR = "service:storage"

Kind = TypeVar("Kind", bound=BackupFact)
Archived: TypeAlias = BackupCompleted | BackupImported
"""By which a backup stands in its store: both name its attempt, folder and objects."""


class History(msgspec.Struct, frozen=True):
    """The last fact of each kind about a backup, with its place in the log."""

    facts: list[tuple[int, BackupFact]]
    headers: dict[UUID, Mapping[str, str]] = {}

    def carried(self, fact: BackupFact | None) -> Mapping[str, str]:
        """The headers of the message of `fact`: what follows from it goes on with its trace."""
        return self.headers.get(fact.id, {}) if fact else {}

    def last(self, kind: type[Kind]) -> Kind | None:
        return next((fact for _, fact in reversed(self.facts) if isinstance(fact, kind)), None)

    @property
    def archived(self) -> Archived | None:
        """The fact by which it stands in its store, if it does."""
        return self.last(BackupCompleted) or self.last(BackupImported)

    def written(self, archived: Archived, store_id: str) -> Written:
        """What its archive in this store has to be when it is read again."""
        sealed, moved = self.last(BackupRewrapped), self.last(BackupMoved)
        newest: tuple[int, str] = (0, "")
        if moved is not None and moved.to_store_id == store_id:
            newest = moved.envelope, moved.envelope_sha256
        if sealed is not None and sealed.store_id == store_id and sealed.envelope > newest[0]:
            newest = sealed.envelope, sealed.envelope_sha256
        return written(archived.archive, newest)

    def seq_of(self, kind: type[BackupFact]) -> int:
        """The place of the last fact of the kind; 0 when there is none."""
        return max((seq for seq, fact in self.facts if isinstance(fact, kind)), default=0)

    def has(self, *kinds: type[BackupFact]) -> bool:
        return any(isinstance(fact, kinds) for _, fact in self.facts)

    @property
    def unwanted(self) -> bool:
        """Whether its objects may be deleted at any moment, or are gone already."""
        return self.wish is not None or self.has(BackupDeleted)

    @property
    def wish(self) -> Wish | None:
        """Why it is to go, if it is."""
        return wish_in(self.facts)

    @property
    def deep_problem(self) -> Problem | None:
        """Why it is corrupt though its stored bytes are as they were written; None elsewhere."""
        found = self.last(BackupCorrupted)
        return found.problem if found is not None and found.deep else None

    def is_held(self, at: datetime) -> bool:
        """Whether a hold lies on the backup: then nothing of it may be deleted, in any store."""
        return bool(holding(holds_in(self.facts), at))


class Ledger:
    """Reads and appends the facts of backups."""

    def __init__(self, bus: Bus, catalogue: Catalogue) -> None:
        self._bus, self._catalogue = bus, catalogue

    async def history(self, backup_id: UUID) -> History:
        last = await self._bus.last_of(f"evt.backup.*.*.{backup_id}")
        told = [(delivery, delivery.message) for delivery in last]
        facts: list[tuple[int, BackupFact]] = [
            (one.seq, fact) for one, fact in told if isinstance(fact, BackupFact)
        ]
        return History(facts, {fact.id: one.headers for one, fact in told})

    async def say(self, fact: BackupFact, expect: Expect | None = None) -> None:
        """Append, and wait until it is projected: what was done is not to be found as work."""
        appended = await self._bus.append(fact, expect=expect)
        await self._catalogue.at_least(appended.seq)

    async def begin_deletion(self, backup_id: UUID, history: History) -> bool:
        """Say that objects may be gone from now on; False when it is not to go, or not yet.

        Whoever takes the deletion back, or lays a hold on the backup, at this moment wins or
        loses as a whole: nothing else may land on the backup in between.
        """
        wish = history.wish
        if wish is None or not is_over(wish, now()) or history.is_held(now()):
            return False
        if is_begun(history.facts):
            return True
        last = max(seq for seq, _ in history.facts)
        begun = following(BackupDeletionBegun, wish, "deletion begun")
        try:
            await self.say(begun, Expect(last, f"evt.backup.*.*.{backup_id}"))
        except WrongSequenceError:
            return False
        return True

    async def say_once(self, fact: BackupFact) -> None:
        """As `say`, unless a fact of this kind was said of the backup before."""
        with suppress(WrongSequenceError):
            await self.say(fact, Expect(0))


def following(kind: type[Kind], cause: BackupFact, purpose: str, **values: Any) -> Kind:
    """What follows from `cause` about the same backup: the same fact each time."""
    return kind(
        id=consequence(cause.id, purpose),
        caused_by=cause.id,
        request_id=cause.request_id,
        actor=ACTOR,
        backup_id=cause.backup_id,
        **values,
    )


def is_proven(history: History, audited: int) -> bool:
    """Whether it can be proven for ever who wanted the deletion; what expired, nobody did."""
    if isinstance(history.wish, BackupExpired):
        return True
    return history.seq_of(BackupDeleteRequested) <= audited
