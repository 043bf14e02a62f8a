"""Keeps a copy of the sealing keys in Postgres, and gives them back to a bucket that lost them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from services.auditor.guard import Guard
from services.auditor.ledger import Record
from services.auditor.writer import Writer
from shared.bus import Bus, Entry
from shared.messages.facts import KeyErased

_ERASED = "SELECT EXISTS (SELECT FROM audit_logs WHERE object = $1 AND action = 'key.erased')"

_log = structlog.get_logger()


class KeyMirror:
    """Follows the bucket `keys`. Only a `KeyErased` fact ends a key: the bucket may lose any."""

    def __init__(self, bus: Bus, writer: Writer, guard: Guard) -> None:
        self._bucket = bus.kv("keys")
        self._writer, self._guard = writer, guard

    async def work(self) -> None:
        """Mirror for ever; after a lost connection the bucket may be another one."""
        while True:
            await self._guard.while_trusted(self._follow)

    async def _follow(self) -> None:
        """Copy what stands in the bucket, restore what is missing there, then every change."""
        seen: set[str] = set()
        restored = False
        async for entry in self._bucket.watch():
            if entry is None and not restored:
                restored = True
                await self._restore(seen)
            elif entry is not None and entry.value is not None:
                seen.add(entry.key)
                await self._copy(entry)

    async def wrote(self, records: Sequence[Record]) -> None:
        """Erase in the bucket, too, what the log has just declared erased."""
        for record in records:
            if isinstance(record.message, KeyErased):
                await self._bucket.delete(record.message.key_id)

    async def _copy(self, entry: Entry) -> None:
        async with self._writer.transaction() as connection:
            if not await _is_erased(connection, entry.key):
                await connection.execute(
                    "INSERT INTO sealed_keys (key_id, wrapped, revision) VALUES ($1, $2, $3) "
                    "ON CONFLICT (key_id) DO UPDATE "
                    "SET wrapped = EXCLUDED.wrapped, revision = EXCLUDED.revision",
                    *(entry.key, entry.value, entry.revision),
                )
                return
        await self._bucket.delete(entry.key)

    async def _restore(self, seen: set[str]) -> None:
        async with self._writer.transaction() as connection:
            rows = await connection.fetch("SELECT key_id, wrapped FROM sealed_keys")
        lost = [row for row in rows if row["key_id"] not in seen]
        for row in lost:
            await self._bucket.create(row["key_id"], row["wrapped"])
        if lost:
            _log.warning("sealing_keys_restored", count=len(lost))


async def _is_erased(connection: Any, key_id: str) -> bool:
    return bool(await connection.fetchval(_ERASED, f"key/{key_id}"))
