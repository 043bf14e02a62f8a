"""Ending a task without losing a cancellation of one's own."""

from __future__ import annotations

import asyncio
from typing import Any


async def ended(task: asyncio.Future[Any]) -> None:
    """Cancel `task` and wait for its end; how it ends is of no interest any more.

    `suppress(CancelledError)` around an `await task` cannot tell whose cancellation it was: one
    of the caller at the same moment would be lost, and whoever sent it would wait for ever. Here
    it is passed on to the task, and raised once that has ended.
    """
    task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
            task.cancel()
    if not task.cancelled():
        task.exception()  # seen: asyncio would report it as never retrieved
    if cancelled is not None:
        raise cancelled
