"""A store at no more than so many bytes a second, whoever of this process uses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta

from shared.messages.values import Pace
from shared.stores.base import ObjectInfo, Store, Stored

BURST_S = 0.25


class Bucket:
    """Fills with `rate` bytes a second, up to a quarter of a second's worth.

    Whoever takes more than there is waits until that has come in, behind all who came before.
    """

    def __init__(self, rate: int, now_s: float) -> None:
        self.rate = rate
        self._level, self._at = rate * BURST_S, now_s

    def take(self, amount: int, now_s: float) -> float:
        """Take `amount` bytes; how many seconds to wait before they are used."""
        self._level = min(self._level + (now_s - self._at) * self.rate, self.rate * BURST_S)
        self._at = now_s
        self._level -= amount
        return max(0.0, -self._level / self.rate)


_buckets: dict[tuple[str, str], Bucket] = {}
"""Of this process, by store and direction: all runs share them."""


def _bucket(store_id: str, direction: str, rate: int | None) -> Bucket | None:
    key = store_id, direction
    if rate is None:
        _buckets.pop(key, None)
        return None
    found = _buckets.get(key)
    if found is None:
        found = _buckets[key] = Bucket(rate, time.monotonic())
    found.rate = rate  # as it was set last; what waits already keeps its turn
    return found


def paced(store: Store, pace: Pace | None) -> Store:
    """The store at that pace; as it is where none is set."""
    if pace is None:
        return store
    up = _bucket(pace.store_id, "up", pace.upload_bytes_s)
    down = _bucket(pace.store_id, "down", pace.download_bytes_s)
    return PacedStore(store, up, down) if up or down else store


class PacedStore:
    """See `Store`. Only the bytes of objects are paced; questions about them are not."""

    def __init__(self, store: Store, up: Bucket | None, down: Bucket | None) -> None:
        self.inner, self._up, self._down = store, up, down

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        return await self.inner.put(key, _flowing(chunks, self._up))

    async def get(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        async with aclosing(_flowing(self.inner.get(key, start, length), self._down)) as pieces:
            async for piece in pieces:
                yield piece

    async def size(self, key: str) -> int:
        return await self.inner.size(key)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        async for info in self.inner.list(prefix):
            yield info

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)

    async def lock(self, prefix: str) -> datetime | None:
        return await self.inner.lock(prefix)

    async def abort_uploads(self, prefix: str, older_than: timedelta) -> int:
        return await self.inner.abort_uploads(prefix, older_than)

    async def test(self) -> None:
        await self.inner.test()

    @property
    def connects_to(self) -> tuple[str, int] | None:
        return self.inner.connects_to

    async def free_bytes(self) -> int | None:
        return await self.inner.free_bytes()


async def _flowing(
    chunks: AsyncIterator[bytes], bucket: Bucket | None
) -> AsyncGenerator[bytes, None]:
    """Closed, it closes what it reads from: a reader that stops early leaves no file open."""
    try:
        async for chunk in chunks:
            if bucket is not None and (wait_s := bucket.take(len(chunk), time.monotonic())):
                await asyncio.sleep(wait_s)
            yield chunk
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
