"""Signs checkpoints of the audit tree, keeps them in Postgres and sends them out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from services.auditor.ledger import Record
from services.auditor.writer import Writer, store_checkpoint
from shared.audit.note import Checkpoint, sign, timestamp
from shared.keys.audit import AuditKey
from shared.messages.base import now

SOON_S = 5.0
"""How long new entries wait for a checkpoint when nothing urgent is among them."""

HIGH_RISK = frozenset(
    {
        "restore.requested",
        "backup.download_requested",
        "backup.delete_requested",
        "key.erased",
        "user.set",
        "api_key.set",
    }
)
"""Actions that are carried out only after a checkpoint covers them; `key.export_...` too."""

Publish: TypeAlias = Callable[[str], Awaitable[None]]


def is_urgent(records: Sequence[Record]) -> bool:
    """Whether somebody waits for these entries to be signed."""
    return any(
        record.leaf.action in HIGH_RISK or record.leaf.action.startswith("key.export")
        for record in records
    )


class Notary:
    """Signs at once what is urgent, soon what is new, and every `every_s` in any case."""

    def __init__(self, writer: Writer, key: AuditKey, publish: Publish, *, every_s: float) -> None:
        self._writer, self._key, self._publish = writer, key, publish
        self._every_s = every_s
        self._urgent, self._new = asyncio.Event(), asyncio.Event()

    async def wrote(self, records: Sequence[Record]) -> None:
        """Hear of entries that were just committed."""
        self._new.set()
        if is_urgent(records):
            self._urgent.set()

    async def work(self) -> None:
        """Sign for ever."""
        while True:
            await self._sign()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._new.wait()
                async with asyncio.timeout(min(SOON_S, self._every_s)):
                    await self._urgent.wait()

    async def _sign(self) -> None:
        self._new.clear()
        self._urgent.clear()
        tree, at = self._writer.tree, now()
        if not tree.size:
            return
        checkpoint = Checkpoint(self._key.succession.origin, tree.size, tree.root(), timestamp(at))
        note = sign(checkpoint, self._key.signing)
        await store_checkpoint(self._writer, tree.size, checkpoint.root, note, at)
        await self._publish(note)
