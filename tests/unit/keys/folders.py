"""What the tests of keys share: a key bucket in memory, and a folder of keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class DictKeys:
    """A key bucket that gives way before each write, so that races show."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.before_replace: Callable[[], object] = lambda: None

    async def read(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        return self.entries.get(key)

    async def create(self, key: str, value: bytes) -> bool:
        await asyncio.sleep(0)
        return self.entries.setdefault(key, value) is value

    async def replace(self, key: str, value: bytes, *, old: bytes) -> bool:
        self.before_replace()
        if self.entries.get(key) != old:
            return False
        self.entries[key] = value
        return True

    async def erase(self, key: str) -> None:
        self.entries.pop(key, None)

    async def names(self, prefix: str) -> list[str]:
        return [name for name in self.entries if name.startswith(prefix)]
