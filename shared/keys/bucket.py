"""The KV bucket `keys`, as the vault sees it."""

from __future__ import annotations

from shared.bus import Bus


class BusKeys:
    """Keys in NATS; the auditor mirrors them into `sealed_keys`."""

    def __init__(self, bus: Bus) -> None:
        self._kv = bus.kv("keys")

    async def read(self, key: str) -> bytes | None:
        entry = await self._kv.get(key)
        return entry.value if entry else None

    async def create(self, key: str, value: bytes) -> bool:
        return await self._kv.create(key, value) is not None

    async def replace(self, key: str, value: bytes, *, old: bytes) -> bool:
        entry = await self._kv.get(key)
        if entry is None or entry.value != old:
            return False
        return await self._kv.update(key, value, revision=entry.revision) is not None

    async def erase(self, key: str) -> None:
        await self._kv.delete(key)

    async def names(self, prefix: str) -> list[str]:
        return await self._kv.keys(prefix)
