"""A key-value bucket in memory, with expiry by the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from shared.bus.base import Entry
from shared.bus.layout import bucket_ttl_s
from shared.bus.memory_stream import Changed
from shared.bus.subjects import checked_subject, matches

_NEVER = float("inf")


class MemoryKv:
    """A `Kv`. An entry lives for its own TTL, else the bucket's, else for ever."""

    def __init__(self, bucket: str, clock: Callable[[], float]) -> None:
        self._ttl_s = bucket_ttl_s(bucket)
        self._clock = clock
        self._entries: dict[str, tuple[Entry, float]] = {}
        self._changes: list[Entry] = []
        self._changed = Changed()

    async def get(self, key: str) -> Entry | None:
        self._expire()
        found = self._entries.get(key)
        return found[0] if found else None

    async def put(self, key: str, value: bytes) -> int:
        return self._write(key, value, None)

    async def create(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int | None:
        return None if await self.get(key) else self._write(key, value, ttl_s)

    async def update(
        self, key: str, value: bytes, *, revision: int, ttl_s: float | None = None
    ) -> int | None:
        current = await self.get(key)
        if current is None or current.revision != revision:
            return None
        return self._write(key, value, ttl_s)

    async def delete(self, key: str) -> None:
        if self._entries.pop(checked_subject(key), None):
            self._tell(Entry(key, None, len(self._changes) + 1))

    async def keys(self, prefix: str = "") -> list[str]:
        self._expire()
        return sorted(key for key in self._entries if key.startswith(prefix))

    async def watch(self, pattern: str = ">") -> AsyncIterator[Entry | None]:
        self._expire()
        seen = len(self._changes)
        for entry, _ in sorted(self._entries.values(), key=lambda pair: pair[0].revision):
            if matches(pattern, entry.key):
                yield entry
        yield None
        while True:
            self._expire()
            news, seen = self._changes[seen:], len(self._changes)
            for entry in news:
                if matches(pattern, entry.key):
                    yield entry
            await self._changed.wait_for_more(seen, self._until_expiry_s())

    def _write(self, key: str, value: bytes, ttl_s: float | None) -> int:
        entry = Entry(checked_subject(key), value, len(self._changes) + 1)
        ttl_s = self._ttl_s if ttl_s is None else ttl_s
        self._entries[key] = (entry, self._clock() + ttl_s if ttl_s else _NEVER)
        self._tell(entry)
        return entry.revision

    def _tell(self, entry: Entry) -> None:
        self._changes.append(entry)
        self._changed.grow(len(self._changes))

    def _expire(self) -> None:
        now = self._clock()
        for key in [key for key, (_, until) in self._entries.items() if until <= now]:
            del self._entries[key]
            self._tell(Entry(key, None, len(self._changes) + 1))

    def _until_expiry_s(self) -> float | None:
        soonest = min((until for _, until in self._entries.values()), default=_NEVER)
        return None if soonest == _NEVER else max(0.01, min(soonest - self._clock(), 0.2))
