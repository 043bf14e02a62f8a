"""How far the projection is: one look at a time, however many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

SHORTEST_PAUSE_S = 0.003
LONGEST_PAUSE_S = 0.1
TRUSTED_S = 1.0
"""How long a position is believed that was seen: a rebuild begins again at nothing."""


class Progress:
    """Waits until a position is reached. While anybody waits, one task looks for all of them."""

    def __init__(self, position: Callable[[], Awaitable[int]]) -> None:
        self._position = position
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._looking: asyncio.Task[None] | None = None
        self._pause_s = SHORTEST_PAUSE_S
        self._seen, self._seen_s = -1, 0.0

    async def reaches(self, seq: int, within_s: float) -> bool:
        """Whether `seq` is reached in time; raises whatever a look raises meanwhile."""
        loop = asyncio.get_running_loop()
        if seq <= self._seen and loop.time() < self._seen_s + TRUSTED_S:
            return True
        reached = loop.create_future()
        self._waiting[reached] = seq
        self._pause_s = SHORTEST_PAUSE_S
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(within_s):
                await reached
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(reached, None)
        return True

    async def _look(self) -> None:
        while self._waiting:
            # Who comes during a look waits for the next: what they wait for may be newer than it.
            asking = dict(self._waiting)
            try:
                position = await self._position()
            except Exception as error:  # handed to everybody who asked
                self._fail(asking, error)
            else:
                self._tell(asking, position)
            if self._waiting:
                await asyncio.sleep(self._pause_s)
                self._pause_s = min(self._pause_s * 1.5, LONGEST_PAUSE_S)

    def _tell(self, asking: dict[asyncio.Future[None], int], position: int) -> None:
        self._seen, self._seen_s = position, asyncio.get_running_loop().time()
        for reached, seq in asking.items():
            if seq <= position:
                self._waiting.pop(reached, None)
                if not reached.done():
                    reached.set_result(None)

    def _fail(self, asking: dict[asyncio.Future[None], int], error: Exception) -> None:
        for reached in asking:
            self._waiting.pop(reached, None)
            if not reached.done():
                reached.set_exception(error)
