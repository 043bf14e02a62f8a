"""Ending tasks, and the work of clean-up, without losing a cancellation of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


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


async def in_time(work: Coroutine[Any, Any, _Result], within_s: float) -> _Result:
    """The outcome of `work`; TimeoutError, and `work` ended, after `within_s` seconds.

    For clean-up, which often runs after a task group failed or in a task that was cancelled:
    Python before 3.11.3 leaves the task marked as cancelled then, and `asyncio.timeout` in it
    raises CancelledError for a time that is over. Here `work` runs in a task of its own.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=within_s)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        await ended(task)
