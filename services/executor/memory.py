"""How much memory the runs of this process may use together, and how much each one needs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from shared.messages.orders import RunBackup, RunRestore, RunVerification

MEBIBYTE = 1 << 20
_FRAME = 4 * MEBIBYTE
"""A frame raw and packed, in the queue, and the sealed piece that it becomes."""
_RUN = 24 * MEBIBYTE
"""What a full backup takes beside its frames and its parts; see docs/benchmarks.md."""
_PARTS = 24 * MEBIBYTE
"""Parts of an upload on their way to a bucket."""
_CHAIN = 32 * MEBIBYTE
"""What is read ahead of the archives of a chain, however many they are."""


def need_of(order: RunBackup | RunRestore | RunVerification, pack_threads: int) -> int:
    """Bytes that a run takes at most, above what an idle executor does."""
    chain = _CHAIN if order.chain else 0
    if isinstance(order, RunBackup):
        return _RUN + _PARTS + pack_threads * _FRAME + chain
    return _RUN + 4 * _FRAME + chain


class Budget:
    """Lent in the order of the requests: a large one is not overtaken for ever by small ones."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def reserved(self, amount: int) -> AsyncIterator[None]:
        """Wait until so many bytes are free, and hold them for the block.

        What needs more than there is at all goes alone.
        """
        amount = min(amount, self._total)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = amount, turn
        self._waiting.append(place)
        self._lend()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += amount
            else:
                with suppress(ValueError):  # passed over already
                    self._waiting.remove(place)
            self._lend()

    def _lend(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, turn = self._waiting.popleft()
            if turn.cancelled():
                continue
            self._free -= amount
            turn.set_result(None)
