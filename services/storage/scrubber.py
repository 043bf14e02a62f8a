"""Scrubs one store: every archive in it is read again within a cycle, by hash, at a gentle pace."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from services.storage.catalogue import Catalogue
from services.storage.kept import Kept, KeptArchives, Place
from services.storage.ledger import ACTOR, Ledger
from services.storage.opening import Desk
from services.storage.verification import read_again
from shared.archive.errors import ArchiveError
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import PlatformError
from shared.messages.base import Message, consequence, now
from shared.messages.facts import (
    ArchiveCorrupted,
    ArchiveVerified,
    BackupCompleted,
    BackupCorrupted,
    BackupDeleteRequested,
    BackupImported,
    BackupVerified,
)
from shared.messages.facts.archives import ArchiveFact
from shared.messages.facts.backups import BackupFact
from shared.messages.values import Problem
from shared.pace import Pace
from shared.retention.deletion import copy_is_begun, copy_left
from shared.stores.base import Store

BUCKET = "scrubs"
AT_ONCE = 50
MOST_BEHIND = 20
"""So many archives of a cycle that cannot be read are left behind; more, and the store is ill."""

_log = structlog.get_logger()


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """How far a cycle is. `after`: the last archive that was read; `over`: all were."""

    began: datetime
    after: Place | None = None
    over: bool = False

    def due_in(self, every: timedelta, at: datetime) -> float:
        """Seconds until there is something to read; 0 while the cycle goes on."""
        return max(0.0, (self.began + every - at).total_seconds()) if self.over else 0.0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What reading an archive has shown; `problem` is None when it is whole."""

    bytes_read: int
    seconds: float
    problem: Problem | None = None

    @property
    def proof(self) -> str:
        return "corrupt" if self.problem else "verified"

    def told(self) -> dict[str, Any]:
        """The fields of the fact about it."""
        if self.problem is not None:
            return {"problem": self.problem}
        return {"bytes_read": self.bytes_read, "seconds": self.seconds}


class Scrubber:
    """A fact is said only of what reads otherwise than it did; where a cycle stands is no event."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        bus: Bus,
        desk: Desk,
        catalogue: Catalogue,
        kept: KeptArchives,
        ledger: Ledger,
        every: timedelta,
        pace: Pace,
    ) -> None:
        self._bus, self._desk, self._catalogue, self._ledger = bus, desk, catalogue, ledger
        self._kept, self._every, self._pace = kept, every, pace
        self._cycles = bus.kv(BUCKET)

    async def scrub(self, seq: int) -> float | None:
        """Go on with the cycle, or begin one when it is due; the seconds until the next."""
        await self._catalogue.at_least(seq)
        if wait_s := (await self._cycle()).due_in(self._every, now()):
            return wait_s
        async with self._desk.taken("scrub") as store:
            cycle = await self._cycle()  # another replica may have gone on with it meanwhile
            if store is not None and not cycle.due_in(self._every, now()):
                await self._go_on(store, Cycle(began=now()) if cycle.over else cycle)
        return None

    async def _go_on(self, store: Store, cycle: Cycle) -> None:
        failed: PlatformError | None = None
        behind: list[Kept] = []
        while some := await self._kept.after(self._desk.store_id, cycle.after, AT_ONCE):
            for one in some:
                try:
                    await self._look(store, one)
                except PlatformError as error:
                    failed = failed or error
                    if error.retryable:
                        await self._desk.still_there(store)  # raises when all of it is away
                        behind.append(one)
                        if len(behind) > MOST_BEHIND:
                            raise
                cycle = msgspec.structs.replace(cycle, after=one.place)
                await self._keep(cycle)
        await self._again(store, behind)
        await self._keep(msgspec.structs.replace(cycle, over=True))
        if failed is not None:
            raise failed

    async def _again(self, store: Store, behind: Sequence[Kept]) -> None:
        """Once more what a store that answers did not give out; then the cycle passes it."""
        for one in behind:
            try:
                await self._look(store, one)
            except PlatformError as error:
                _log.warning("not_scrubbed", backup_id=one.backup_id, code=error.code)

    async def _look(self, store: Store, one: Kept) -> None:
        began = time.monotonic()
        try:
            count = await read_again(store, one.folder, one.written, self._pace)
            found = Found(bytes_read=count, seconds=round(time.monotonic() - began, 3))
        except ArchiveError as error:
            await self._desk.still_there(store)
            problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
            found = Found(bytes_read=0, seconds=0.0, problem=problem)
        if found.proof != one.proof:
            await (self._say_of_backup if one.archive_id is None else self._say_of_copy)(one, found)

    async def _say_of_backup(self, one: Kept, found: Found) -> None:
        history = await self._ledger.history(one.backup_id)
        proofs = (BackupCompleted, BackupImported, BackupVerified, BackupCorrupted)
        last = max((fact for fact in history.facts if isinstance(fact[1], proofs)), default=None)
        if found.problem is None and history.deep_problem is not None:
            return  # its hashes were never wrong
        if last is None or history.unwanted:
            return  # what is missing was deleted while it was read
        kind: type[BackupFact] = BackupCorrupted if found.problem else BackupVerified
        fact = kind(
            id=consequence(last[1].id, "scrubbed"),
            caused_by=last[1].id,
            actor=ACTOR,
            backup_id=one.backup_id,
            **found.told(),
        )
        with suppress(WrongSequenceError):  # somebody else has read it, too
            await self._ledger.say(fact, Expect(history.seq_of(kind)))

    async def _say_of_copy(self, one: Kept, found: Found) -> None:
        assert one.archive_id is not None
        subject = f"evt.archive.*.core.{one.archive_id}"
        told = [(said.seq, said.message) for said in await self._bus.last_of(subject)]
        if not told or copy_left(told) or copy_is_begun(told):
            return  # it expired or was deleted while it was read
        # Somebody's wish is for all of them; that the first archive expired, nothing to a copy.
        if isinstance((await self._ledger.history(one.backup_id)).wish, BackupDeleteRequested):
            return
        last_seq, last = max(told, key=_place)
        kind: type[ArchiveFact] = ArchiveCorrupted if found.problem else ArchiveVerified
        fact = kind(
            id=consequence(last.id, "scrubbed"),
            caused_by=last.id,
            actor=ACTOR,
            archive_id=one.archive_id,
            backup_id=one.backup_id,
            store_id=self._desk.store_id,
            **found.told(),
        )
        with suppress(WrongSequenceError):
            appended = await self._bus.append(fact, expect=Expect(last_seq, subject))
            await self._catalogue.at_least(appended.seq)

    async def _cycle(self) -> Cycle:
        entry = await self._cycles.get(self._desk.store_id)
        if entry is None or entry.value is None:
            return Cycle(began=now())
        return msgspec.json.decode(entry.value, type=Cycle)

    async def _keep(self, cycle: Cycle) -> None:
        await self._cycles.put(self._desk.store_id, msgspec.json.encode(cycle))


def _place(told: tuple[int, Message]) -> int:
    return told[0]
