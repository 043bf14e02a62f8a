"""Deletes from one store: garbage of attempts, and backups that nobody wants any more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import structlog

from services.storage.catalogue import Catalogue
from services.storage.copies import Copies
from services.storage.deletion import clear, folder_of
from services.storage.envelopes import Envelopes
from services.storage.garbage import Attempt, is_due
from services.storage.lane import each
from services.storage.ledger import ACTOR, History, Ledger, following, is_proven
from services.storage.opening import Desk
from services.storage.scan import Findings, Listing, judged, listed
from shared import trace
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.messages.base import now
from shared.messages.facts import (
    BackupDeleted,
    BackupGarbageDeleted,
)
from shared.stores.base import Store

AGAIN_S = 1.0

_log = structlog.get_logger()


class Cleaner:
    """Everything it does is safe to repeat: decided on the log, which only grows."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        bus: Bus,
        desk: Desk,
        catalogue: Catalogue,
        copies: Copies,
        ledger: Ledger,
        second_look: timedelta,
        envelopes: Envelopes,
    ) -> None:
        self._bus, self._desk, self._catalogue, self._ledger = bus, desk, catalogue, ledger
        self._copies, self._second_look, self._envelopes = copies, second_look, envelopes

    async def clean(self, seq: int) -> float | None:
        """Delete what is garbage or unwanted by `seq`, or due for another look.

        Returns AGAIN_S while a wish waits for the audit log.
        """
        await self._catalogue.at_least(seq)
        if await self._garbage() or await self._catalogue.unwanted(self._desk.store_id):
            async with self._desk.taken("clean") as store:
                if store is not None:
                    await self._clear_all(store, await self._garbage())
                    return await self._delete_all(store)
        return None

    async def scan(self, seq: int) -> None:
        """Compare the store with the log: garbage found there goes, what is unknown is reported."""
        await self._catalogue.at_least(seq)
        async with self._desk.taken("clean") as store:
            if store is not None:
                listing = await listed(store)
                findings = await self._judged(listing)
                self._report(listing, findings)
                await self._clear_all(store, findings.garbage)
                await self._envelopes.compare(store, listing.several)

    async def _garbage(self) -> list[Attempt]:
        at = now()
        found = await self._catalogue.looked_for(self._desk.store_id, at, self._second_look)
        return [attempt for attempt in found if is_due(attempt, at, self._second_look)]

    async def _clear_all(self, store: Store, attempts: Iterable[Attempt]) -> None:
        async def clear_one(attempt: Attempt) -> None:
            folder = folder_of(attempt.backup_id, attempt.number, attempt.prefix)
            freed = await clear(store, folder)
            await self._desk.still_there(store)
            await self._ledger.say(
                BackupGarbageDeleted(
                    actor=ACTOR,
                    backup_id=attempt.backup_id,
                    attempt=attempt.number,
                    freed_bytes=freed,
                )
            )

        await each(attempts, clear_one)

    async def _delete_all(self, store: Store) -> float | None:
        audited, waiting = await self._catalogue.audited(), False
        unwanted = await self._catalogue.unwanted(self._desk.store_id)
        # Looked at once more: what outlived a backup may have been found damaged since it expired.
        kept = await self._catalogue.kept_again(unwanted) if unwanted else set()

        async def delete(backup_id: UUID) -> None:
            nonlocal waiting
            history = await self._ledger.history(backup_id)
            if not is_proven(history, audited):
                waiting = True
                return
            with trace.continued(history.carried(history.wish), lambda: "delete"):
                if await self._ledger.begin_deletion(backup_id, history):
                    await self._delete(store, backup_id, history)

        await each([one for one in unwanted if one not in kept], delete)
        return AGAIN_S if waiting else None

    async def _delete(self, store: Store, backup_id: UUID, history: History) -> None:
        wish = history.wish
        if wish is None or history.has(BackupDeleted):
            return
        freed, completed = 0, history.archived
        if completed is not None:
            folder = folder_of(backup_id, completed.attempt, completed.prefix)
            freed = await clear(store, folder, completed.archive.objects)
            await self._desk.still_there(store)
        await self._ledger.say_once(following(BackupDeleted, wish, "deleted", freed_bytes=freed))

    async def _judged(self, listing: Listing) -> Findings:
        # Attempts are said before they write, so by now the log knows all that was listed.
        await self._catalogue.at_least((await self._bus.state(EVENTS)).last_seq)
        backup_ids = {backup_id for backup_id, _ in listing.folders}
        attempts = await self._catalogue.attempts_of(self._desk.store_id, backup_ids)
        copied = await self._copies.folders(self._desk.store_id, backup_ids)
        return judged([one for one in listing.folders if one[0] not in copied], attempts)

    def _report(self, listing: Listing, findings: Findings) -> None:
        if findings.unknown or listing.strangers:
            _log.warning(
                "the store holds what the log does not know; it is left alone",
                store_id=self._desk.store_id,
                folders=len(findings.unknown),
                examples=[f"{backup_id}/{n}" for backup_id, n in findings.unknown[:3]],
                objects_elsewhere=listing.strangers,
            )
