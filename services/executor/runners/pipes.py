"""Pipes between the event loop and a process: large, and with back-pressure both ways.

Tools take and give a few KiB at a time. A thread that looks once a millisecond, and then moves all
there is, costs a third of one that is woken for each, and nothing of the event loop. At 1 GB/s a
pipe of 1 MiB is just full, or empty, by then.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from services.executor.runners.base import Bytes

PIECE_BYTES = 1 << 20
"""Also the largest pipe that Linux gives to ordinary users."""

_LOOK_S = 0.001
_QUIET_S = 0.005
"""A piece is given out when nothing was added for so long."""
_SELDOM_S = 0.02
"""How often to look whether a process that took nothing for a while takes something."""
_Made = TypeVar("_Made")


def widen(descriptor: int) -> None:
    """Ask for a pipe of 1 MiB: fewer switches between tool and us. Systems may refuse."""
    with suppress(OSError, AttributeError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIECE_BYTES)


class _End:
    """Our end of a pipe, and the thread in which it is used."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._thread = ThreadPoolExecutor(1, "pipe")
        self._closing = False

    def close(self) -> None:
        """Give the descriptor back; waits some milliseconds where it is being used."""
        self._closing = True
        self._thread.shutdown()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def _apart(self, work: Callable[[], _Made]) -> _Made:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class ReadingEnd(_End):
    """Of a pipe that a process writes to; closed, it is broken for whoever still writes."""

    async def pieces(self) -> Bytes:
        """What comes, in pieces of at most 1 MiB, until every writer has closed."""
        while not self._closing:
            piece = await self._apart(self._read)
            if piece is None:
                return
            if piece:
                yield piece
            else:
                await _readable(self._descriptor)

    def _read(self) -> bytearray | None:
        """What there is, perhaps nothing; None at the end."""
        block, length, came = bytearray(PIECE_BYTES), 0, time.monotonic()
        view = memoryview(block)
        while length < PIECE_BYTES and not self._closing:
            try:
                count = os.readv(self._descriptor, [view[length:]])
            except BlockingIOError:
                if time.monotonic() - came > _QUIET_S:
                    break
            else:
                if not count:
                    return block[:length] if length else None
                length, came = length + count, time.monotonic()
            if length < PIECE_BYTES:
                time.sleep(_LOOK_S)
        return block if length == PIECE_BYTES else block[:length]


class WritingEnd(_End):
    """Of a pipe that a process reads from; closed, it says that this was the end."""

    async def write(self, data: bytes | bytearray) -> None:
        """Hand over all of `data`; raises BrokenPipeError when nobody reads any more.

        After `close` it does nothing. Cancelled, some of `data` may still be handed over.
        """
        if not self._closing:
            await self._apart(lambda: self._write(memoryview(data)))

    def _write(self, left: memoryview) -> None:
        pause = _LOOK_S
        while left and not self._closing:
            try:
                left, pause = left[os.write(self._descriptor, left) :], _LOOK_S
            except BlockingIOError:
                pause = min(2 * pause, _SELDOM_S)
            if left:
                time.sleep(pause)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waiting.done():
            waiting.set_result(None)

    loop.add_reader(descriptor, wake)
    try:
        await waiting
    finally:
        loop.remove_reader(descriptor)
