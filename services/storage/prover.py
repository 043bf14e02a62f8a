"""Proves the completed backups of one store: their archives are read again, later, by hash."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

from services.storage.catalogue import Catalogue, Verification
from services.storage.deletion import folder_of
from services.storage.lane import each
from services.storage.ledger import ACTOR, Archived, History, Ledger, following
from services.storage.opening import Desk
from services.storage.verification import read_again
from shared import trace
from shared.archive.errors import ArchiveError
from shared.bus import Expect
from shared.errors import PlatformError
from shared.messages.base import consequence
from shared.messages.facts import (
    BackupCorrupted,
    BackupVerified,
    BackupVerifyFailed,
    BackupVerifyRequested,
)
from shared.messages.facts.backups import BackupFact
from shared.messages.values import Problem
from shared.stores.base import Store, StoreError


class NothingToReadError(StoreError):
    """There is no archive to verify."""

    code = "backup.not_standing"
    default_fix = "look at the backup's status"


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
        if await self._catalogue.to_verify(self._desk.store_id):
            await self._answer_all()

    async def _answer_all(self) -> None:
        async with self._desk.taken("prove") as store:
            for one in await self._catalogue.to_verify(self._desk.store_id):
                await self._answer(store, one)

    async def _answer(self, store: Store | None, asked: Verification) -> None:
        """Read for somebody who waits: the run ends, whatever can be found out."""
        history = await self._ledger.history(asked.backup_id)
        wish = history.last(BackupVerifyRequested)
        with trace.continued(history.carried(wish), lambda: "verify"):
            await self._answer_one(store, asked, history)

    async def _answer_one(self, store: Store | None, asked: Verification, history: History) -> None:
        completed = history.archived
        try:
            if store is None or completed is None or history.unwanted:
                raise NothingToReadError("the backup does not stand in its store any more")
            await self._read(store, completed, history, asked.run_id)
        except PlatformError as error:
            problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
            await self._ledger.say(
                BackupVerifyFailed(
                    id=consequence(asked.run_id, "not verified"),
                    actor=ACTOR,
                    backup_id=asked.backup_id,
                    run_id=asked.run_id,
                    problem=problem,
                )
            )

    async def _read(
        self,
        store: Store,
        completed: Archived,
        history: History,
        run_id: UUID,
    ) -> None:
        folder = folder_of(completed.backup_id, completed.attempt, completed.prefix)
        about: dict[str, Any] = {
            "id": consequence(run_id, "read"),
            "actor": ACTOR,
            "caused_by": completed.id,
            "backup_id": completed.backup_id,
            "run_id": run_id,
        }
        began = time.monotonic()
        try:
            count = await read_again(store, folder, history.written(completed, self._desk.store_id))
        except ArchiveError as error:
            await self._desk.still_there(store)
            problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
            fact: BackupFact = BackupCorrupted(**about, problem=problem)
        else:
            seconds = round(time.monotonic() - began, 3)
            if deep := history.deep_problem:
                fact = BackupCorrupted(**about, problem=deep, deep=True)
            else:
                fact = BackupVerified(**about, bytes_read=count, seconds=seconds)
        await self._ledger.say(fact, Expect(history.seq_of(type(fact))))

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
        completed = history.archived
        if completed is None or history.has(BackupVerified) or history.unwanted:
            return
        if history.deep_problem is not None:
            return  # its hashes were never wrong
        with trace.continued(history.carried(completed), lambda: "read again"):
            await self._read_again(store, completed, history)

    async def _read_again(self, store: Store, completed: Archived, history: History) -> None:
        folder = folder_of(completed.backup_id, completed.attempt, completed.prefix)
        started = time.monotonic()
        try:
            count = await read_again(store, folder, history.written(completed, self._desk.store_id))
        except ArchiveError as error:
            await self._desk.still_there(store)
            await self._say_corrupted(completed, error)
        else:
            seconds = round(time.monotonic() - started, 3)
            until = await store.lock(folder)
            told = {"bytes_read": count, "seconds": seconds, "locked_until": until}
            await self._ledger.say_once(following(BackupVerified, completed, "verified", **told))

    async def _say_corrupted(self, completed: Archived, error: ArchiveError) -> None:
        if (await self._ledger.history(completed.backup_id)).unwanted:
            return  # what is missing was deleted while it was read
        problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
        await self._ledger.say_once(
            following(BackupCorrupted, completed, "corrupted", problem=problem)
        )
