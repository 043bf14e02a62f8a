"""Proves the completed backups of one store: their archives are read again, later, by hash."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from services.storage.catalogue import Catalogue
from services.storage.deletion import folder_of
from services.storage.lane import each
from services.storage.ledger import Ledger, following
from services.storage.opening import Desk
from services.storage.verification import read_again
from shared.archive.errors import ArchiveError
from shared.messages.facts import BackupCompleted, BackupCorrupted, BackupVerified
from shared.messages.values import Problem
from shared.stores.base import Store


class Prover:
    """Says of each completed backup, once, that it is verified or corrupted.

    A corrupted one that reads well later, since its disk was only ill, is verified after all.
    """

    def __init__(self, desk: Desk, catalogue: Catalogue, ledger: Ledger) -> None:
        self._desk, self._catalogue, self._ledger = desk, catalogue, ledger

    async def prove(self, seq: int) -> None:
        """Read every archive again that completed by `seq` and was not read since."""
        await self._catalogue.at_least(seq)
        await self._read_all(self._catalogue.unproven)

    async def heal(self, seq: int) -> None:
        """Read every archive once more that was corrupted by `seq`."""
        await self._catalogue.at_least(seq)
        await self._read_all(self._catalogue.corrupt)

    async def _read_all(self, wanted: Callable[[str], Awaitable[list[UUID]]]) -> None:
        if not await wanted(self._desk.store_id):
            return
        async with self._desk.taken("prove") as store:
            if store is not None:
                await each(await wanted(self._desk.store_id), partial(self._prove, store))

    async def _prove(self, store: Store, backup_id: UUID) -> None:
        history = await self._ledger.history(backup_id)
        completed = history.last(BackupCompleted)
        if completed is None or history.has(BackupVerified) or history.unwanted:
            return
        folder = folder_of(backup_id, completed.attempt, completed.prefix)
        started = time.monotonic()
        try:
            count = await read_again(store, folder, completed.archive.manifest_sha256)
        except ArchiveError as error:
            await self._desk.still_there(store)
            await self._say_corrupted(completed, error)
        else:
            seconds = round(time.monotonic() - started, 3)
            await self._ledger.say_once(
                following(BackupVerified, completed, "verified", bytes_read=count, seconds=seconds)
            )

    async def _say_corrupted(self, completed: BackupCompleted, error: ArchiveError) -> None:
        if (await self._ledger.history(completed.backup_id)).unwanted:
            return  # what is missing was deleted while it was read
        problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
        await self._ledger.say_once(
            following(BackupCorrupted, completed, "corrupted", problem=problem)
        )
