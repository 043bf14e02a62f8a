"""One kind of work for one store: on its own, so that no store holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeAlias, TypeVar

import structlog

from shared.errors import PlatformError

Item = TypeVar("Item")
Work: TypeAlias = Callable[[int], Awaitable[float | None]]
"""Works on a state that includes the event; returns seconds if it is wanted again that soon."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

_log = structlog.get_logger()


class Lane:
    """Does `work(seq)` at start, when woken, and every `every_s`; after a failure sooner again.

    `seq` is the event that woke it last: work is to be found on a state that includes it.
    """

    def __init__(self, name: str, work: Work, *, every_s: float) -> None:
        self._name, self._work, self._every_s = name, work, every_s
        self._woken = asyncio.Event()
        self._seq = 0

    def wake(self, seq: int) -> None:
        self._seq = max(self._seq, seq)
        self._woken.set()

    async def run(self) -> None:
        """For ever; what the store or the bus cannot do now is tried again, ever less often."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                soon = await self._work(self._seq)
                failures, pause = 0, self._every_s if soon is None else min(soon, self._every_s)
            except PlatformError as error:
                pause = min(FIRST_PAUSE_S * 2 ** min(failures, 10), LONGEST_PAUSE_S)
                failures += 1
                _log.warning(
                    "trying again later",
                    lane=self._name,
                    code=error.code,
                    cause=error.cause,
                    pause_s=pause,
                )
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()


async def each(items: Iterable[Item], action: Callable[[Item], Awaitable[None]]) -> None:
    """Do `action` with every item; one that fails holds up no other, its error comes last.

    What is worth another try soon means the store or the bus is away: that ends it at once.
    """
    failed: PlatformError | None = None
    for item in items:
        try:
            await action(item)
        except PlatformError as error:
            if error.retryable:
                raise
            failed = failed or error
    if failed is not None:
        raise failed
