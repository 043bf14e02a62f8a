"""A deep verification: a backup read with its keys as a restore reads it, and written nowhere."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

from services.executor.orders import BadSettingsError, DataOrder, open_data_order, trust_of
from services.executor.plan import Progress
from services.executor.progress import RunLog
from services.executor.restores import RestoreTools, RestoreWork
from services.executor.runs import Completion
from shared.archive.chain import Link
from shared.archive.deep import damage_of, holds_anything, read_deeply
from shared.archive.errors import ArchiveError, NoKeyError, ParentMissingError, UnsupportedError
from shared.messages.base import Fact, consequence
from shared.messages.facts import ArchiveCorrupted, BackupCorrupted, RestoreCompleted
from shared.messages.facts.archives import archive_id
from shared.messages.orders import RunVerification
from shared.messages.values import Problem
from shared.pace import Pace
from shared.stores.base import StoreUnreachableError
from shared.stores.reach import require_permitted

Say = Callable[[Fact], Awaitable[object]]
_NO_VERDICT = (UnsupportedError, NoKeyError)
"""These say something of us, not of the archive."""


class VerificationWork(RestoreWork):
    """See `Work`. Damage is said of the backup whose archive it is, before the run ends."""

    def __init__(self, order: RunVerification, tools: RestoreTools, say: Say, pace: Pace) -> None:
        super().__init__(order, tools)
        self._say, self._pace = say, pace

    @property
    def _verified(self) -> UUID | None:
        return self.order.backup_id

    async def perform(self, attempt: int, log: RunLog) -> Completion:
        """Raises the ArchiveError of the damage that was found, and says it."""
        opened = open_data_order(self.order, self._tools.worker.order_key)
        log.hide(opened.secrets)
        log.line("info", f"attempt {attempt} to read backup {self.order.backup_id} begins")
        began, links = time.monotonic(), await self._links(opened)
        try:
            raw_bytes = await self._read(links, log)
        except _NO_VERDICT:
            raise
        except ArchiveError as error:
            raise await self._judged(links, error) from error
        seconds = round(time.monotonic() - began, 3)

        def completed(cause: UUID, number: int) -> Fact:
            return self._fact(
                RestoreCompleted,
                cause,
                number,
                id=consequence(cause, "completed"),
                seconds=seconds,
                raw_bytes=raw_bytes,
                tables=[],
                verified_backup_id=self._verified,
            )

        return completed

    async def settle(self) -> Completion | None:
        return None  # nothing was written

    async def _links(self, opened: DataOrder) -> list[Link]:
        if opened.archive_key is None:
            raise BadSettingsError("the order holds no key of the archive")
        own = Link(
            store=opened.store,
            prefix=self.order.prefix,
            archive_key=opened.archive_key,
            manifest_sha256=self.order.manifest_sha256,
        )
        links = [own, *opened.chain]
        for link in links:
            here = self._tools.workplace.allow_loopback
            await require_permitted(link.store, allow_loopback=here)
        return links

    async def _read(self, links: list[Link], log: RunLog) -> int:
        raw_bytes = 0
        async with aclosing(read_deeply(links, trust_of(self.order.trusted))) as pieces:
            async for count in pieces:
                raw_bytes += count
                log.progress(Progress(stage="verify", raw_bytes=raw_bytes, packed_bytes=0))
                await self._pace.take(count)
        return raw_bytes

    async def _judged(self, links: list[Link], error: ArchiveError) -> ArchiveError:
        """Whose archive is damaged, as a fact; the full first, on which the others depend.

        Where every stored byte is as it was written, it is this backup, for good: reading its
        objects again by their hashes would not find it.
        """
        if not await holds_anything(links[0].store):
            raise StoreUnreachableError("the store is empty: is it mounted?") from error
        archives = [self.order, *self.order.chain]
        trusted = trust_of(self.order.trusted)
        for link, archive in reversed(list(zip(links, archives, strict=True))):
            if (damage := await damage_of(link, trusted)) is not None:
                backup_id = archive.backup_id
                if archive.copy_in is None:
                    await self._corrupted(backup_id, damage, deep=False)
                else:
                    await self._copy_corrupted(backup_id, archive.copy_in, damage)
                if backup_id == self.order.backup_id:
                    return damage
                return ParentMissingError(
                    f"backup {backup_id}, which it builds on, is damaged: {damage.cause}"
                )
        await self._corrupted(self.order.backup_id, error, deep=True)
        return error

    async def _corrupted(self, backup_id: UUID, error: ArchiveError, *, deep: bool) -> None:
        about = self._about(backup_id, error)
        await self._say(BackupCorrupted(**about, backup_id=backup_id, deep=deep))

    async def _copy_corrupted(self, backup_id: UUID, store_id: str, error: ArchiveError) -> None:
        """The archive in the backup's own store may be whole."""
        await self._say(
            ArchiveCorrupted(
                **self._about(backup_id, error),
                archive_id=archive_id(backup_id, store_id),
                backup_id=backup_id,
                store_id=store_id,
            )
        )

    def _about(self, backup_id: UUID, error: ArchiveError) -> dict[str, Any]:
        return {
            "id": consequence(self.order.id, f"corrupt {backup_id}"),
            "pool": self.order.pool,
            "actor": "service:executor",
            "caused_by": self.order.id,
            "request_id": self.order.request_id,
            "problem": Problem(code=error.code, cause=error.cause, fix=error.fix),
        }
