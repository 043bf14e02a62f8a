"""Keeps the copies of one store: makes those that are wanted, removes those that are not."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from services.storage.catalogue import Catalogue
from services.storage.copies import Copies, Copy, Standing
from services.storage.deletion import clear
from services.storage.lane import each
from services.storage.ledger import ACTOR, History, Ledger, is_proven
from services.storage.opening import Desk, Stores
from services.storage.replication import Replica, replicate
from shared import trace
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.errors import PlatformError
from shared.messages.base import consequence, now
from shared.messages.facts import (
    ArchiveDeleted,
    ArchiveDeletionBegun,
    ArchiveFailed,
    ArchiveReplicated,
    ArchiveRequested,
    BackupHeld,
    BackupReleased,
)
from shared.messages.facts.archives import ArchiveFact, archive_id
from shared.messages.values import Problem
from shared.retention.deletion import copy_is_begun, copy_is_due
from shared.stores.base import Store, StoreError

GIVE_UP_AFTER = timedelta(hours=24)
"""How long a store that does not answer is tried again before the copy is said to have failed."""
AGAIN_S = 1.0

Kind = TypeVar("Kind", bound=ArchiveFact)


class NoSourceError(StoreError):
    """The backup stands nowhere any more from where it could be copied."""

    code = "archive.no_source"
    default_fix = "take a new backup"


class Copier:
    """Safe to repeat: an archive never changes, and a copy has the folder of its source."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        bus: Bus,
        desk: Desk,
        stores: Stores,
        catalogue: Catalogue,
        copies: Copies,
        ledger: Ledger,
    ) -> None:
        self._bus, self._desk, self._stores = bus, desk, stores
        self._catalogue, self._copies, self._ledger = catalogue, copies, ledger

    async def keep(self, seq: int) -> float | None:
        """Ask for, make and remove what is due by `seq`.

        Returns AGAIN_S while a wish waits for the audit log.
        """
        await self._catalogue.at_least(seq)
        store_id = self._desk.store_id
        for backup_id in await self._copies.not_asked_for(store_id):
            await self._ask(backup_id)
        if not (await self._copies.wanted(store_id) or await self._copies.unwanted(store_id)):
            return None
        async with self._desk.taken("copy") as store:
            if store is None:
                return None
            await each(await self._copies.wanted(store_id), lambda one: self._make(store, one))
            return await self._remove_all(store)

    async def _ask(self, backup_id: UUID) -> None:
        asked = ArchiveRequested(
            id=consequence(backup_id, f"copy to {self._desk.store_id}"),
            actor=ACTOR,
            archive_id=archive_id(backup_id, self._desk.store_id),
            backup_id=backup_id,
            store_id=self._desk.store_id,
        )
        history = await self._ledger.history(backup_id)
        with (
            trace.continued(history.carried(history.archived), lambda: "ask for a copy"),
            suppress(WrongSequenceError),  # asked for before
        ):
            appended = await self._bus.append(asked, expect=Expect(0))
            await self._catalogue.at_least(appended.seq)

    async def _make(self, target: Store, copy: Copy) -> None:
        said = await self._said(copy.archive_id)
        with trace.continued(said.headers, lambda: "copy"):
            await self._make_it(target, copy)

    async def _make_it(self, target: Store, copy: Copy) -> None:
        began = time.monotonic()
        try:
            replica = await self._replicated(target, copy)
            until = await target.lock(copy.folder)
        except PlatformError as error:
            if error.retryable and _is_young(copy.requested_at):
                raise
            await clear(target, copy.folder)
            problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
            await self._say(ArchiveFailed, copy.archive_id, copy.backup_id, problem=problem)
        else:
            await self._say(
                ArchiveReplicated,
                copy.archive_id,
                copy.backup_id,
                prefix=copy.folder,
                stored_bytes=replica.bytes,
                seconds=round(time.monotonic() - began, 3),
                locked_until=until,
                recipients=[*replica.envelope.recipients],
                envelope=replica.envelope.number,
                envelope_sha256=replica.envelope.sha256,
            )

    async def _replicated(self, target: Store, copy: Copy) -> Replica:
        problem: PlatformError = NoSourceError("no store holds the backup whole any more")
        for one in copy.sources:
            source = await self._stores.open(one.store_id)
            if source is None:
                continue
            try:
                return await replicate(source, target, copy.folder, one.written)
            except PlatformError as error:
                problem = error
        raise problem

    async def _remove_all(self, store: Store) -> float | None:
        audited, waiting = await self._catalogue.audited(), False
        unwanted = await self._copies.unwanted(self._desk.store_id)
        # As for backups: what expired is looked at once more.
        ids = [one.backup_id for one in unwanted]
        kept = await self._catalogue.kept_again(ids) if ids else set()

        async def remove(copy: Standing) -> None:
            nonlocal waiting
            history = await self._ledger.history(copy.backup_id)
            if copy.wish and not is_proven(history, audited):
                waiting = True
                return
            if not await self._begins(copy, history):
                return
            said = history.carried(history.wish) or (await self._said(copy.archive_id)).headers
            with trace.continued(said, lambda: "delete a copy"):
                freed = await clear(store, copy.folder)
                await self._desk.still_there(store)
                await self._say(ArchiveDeleted, copy.archive_id, copy.backup_id, freed_bytes=freed)

        await each([one for one in unwanted if one.archive_id not in kept], remove)
        return AGAIN_S if waiting else None

    async def _begins(self, copy: Standing, history: History) -> bool:
        """Say that objects of the copy may be gone from now on; False when it is not to go."""
        if copy.wish:
            return await self._ledger.begin_deletion(copy.backup_id, history)
        told = await self._told(copy.archive_id)
        facts = [(one.seq, one.message) for one in told]
        if not copy_is_begun(facts):
            held = (await self._ledger.history(copy.backup_id)).is_held(now())
            if held or not copy_is_due(facts, now()):
                return False
            last = max(told, key=_place)
            if not await self._say(
                ArchiveDeletionBegun, copy.archive_id, copy.backup_id, last=last
            ):
                return False
        return not await self._is_held_since_before(copy)

    async def _is_held_since_before(self, copy: Standing) -> bool:
        """Whether a hold lies on the backup that was laid before the deletion of the copy began: it
        is said of the backup, so that it refuses nothing that is said of the copy. A later one
        does not bring back what may be gone."""
        told = await self._told(copy.archive_id)
        begun = [one.seq for one in told if isinstance(one.message, ArchiveDeletionBegun)]
        history = await self._ledger.history(copy.backup_id)
        laid = max(history.seq_of(BackupHeld), history.seq_of(BackupReleased))
        return history.is_held(now()) and laid < max(begun, default=0)

    async def _say(
        self,
        kind: type[Kind],
        about: UUID,
        backup_id: UUID,
        *,
        last: Delivery | None = None,
        **values: Any,
    ) -> bool:
        """Say what became of the copy, unless something else was said of it meanwhile: since
        `last`, if that is given."""
        subject, last = f"evt.archive.*.*.{about}", last or await self._said(about)
        fact = kind(
            id=consequence(last.message.id, kind.__name__),
            actor=ACTOR,
            caused_by=last.message.id,
            archive_id=about,
            backup_id=backup_id,
            store_id=self._desk.store_id,
            **values,
        )
        with suppress(WrongSequenceError):
            appended = await self._bus.append(fact, expect=Expect(last.seq, subject))
            await self._catalogue.at_least(appended.seq)
            return True
        return False

    async def _said(self, about: UUID) -> Delivery:
        """What was said last of the copy."""
        return max(await self._told(about), key=_place)

    async def _told(self, about: UUID) -> list[Delivery]:
        """The last fact of each kind about the copy."""
        return await self._bus.last_of(f"evt.archive.*.*.{about}")


def _place(delivery: Delivery) -> int:
    return delivery.seq


def _is_young(requested_at: datetime) -> bool:
    return now() - requested_at < GIVE_UP_AFTER
