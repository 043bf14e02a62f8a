"""Reading in the background no faster than one is allowed to."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Pace(Protocol):
    """Holds back who reads."""

    async def take(self, count: int) -> None:
        """Wait until `count` more bytes may be read."""


class Unpaced:
    """As fast as it goes: somebody waits for it."""

    async def take(self, count: int) -> None:
        pass


UNPACED = Unpaced()


class Paced:
    """`bytes_per_s` on the average; what is read is paid for afterwards, by waiting."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        at = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, at) + count / self._bytes_per_s
        await asyncio.sleep(self._free_at - at)


def pace_of(bytes_per_s: float) -> Pace:
    """The pace for a setting, of which 0 means none."""
    return Paced(bytes_per_s) if bytes_per_s else UNPACED
