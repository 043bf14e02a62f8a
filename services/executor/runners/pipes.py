"""Pipes between the event loop and a process: large, and with back-pressure both ways."""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
from array import array
from collections.abc import Callable
from contextlib import suppress

from services.executor.runners.base import Bytes

PIECE_BYTES = 1 << 20
"""Also the largest pipe that Linux gives to ordinary users."""

# Tools write a few KiB at a time. Letting the pipe fill for a moment takes less than half the
# processor time of reading each at once (1.0 s against 2.4 s for 1 GB of pg_dump), and at 1 GB/s
# this moment fills no more than the pipe.
_WORTH_READING = 256 << 10
_FILL_S = 0.001
# The same the other way: a full pipe has room again after each few KiB that a tool takes.
_DRAIN_S = 0.001


def widen(descriptor: int) -> None:
    """Ask for a pipe of 1 MiB: fewer switches between tool and loop. Systems may refuse."""
    with suppress(OSError, AttributeError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIECE_BYTES)


class ReadingEnd:
    """Our end of a pipe that a process writes to."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    async def pieces(self) -> Bytes:
        """What comes, in pieces of at most 1 MiB, until every writer has closed."""
        while piece := await self._next():
            yield piece

    async def _next(self) -> bytes:
        while True:
            await _ready(self._descriptor, reading=True)
            if self._waiting() < _WORTH_READING:
                await asyncio.sleep(_FILL_S)
            with suppress(BlockingIOError):
                return os.read(self._descriptor, max(self._waiting(), 1))

    def _waiting(self) -> int:
        """The bytes in the pipe; reading exactly so many allocates no more than is used."""
        (count,) = array("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)))
        return min(count, PIECE_BYTES)

    def close(self) -> None:
        """Let a process that still writes see a broken pipe."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class WritingEnd:
    """Our end of a pipe that a process reads from."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    async def write(self, data: bytes) -> None:
        """Hand over all of `data`; raises BrokenPipeError when nobody reads any more.

        After `close` it does nothing.
        """
        left = memoryview(data)
        while left and self._descriptor >= 0:
            await _ready(self._descriptor, reading=False)
            with suppress(BlockingIOError):
                left = left[os.write(self._descriptor, left) :]
            if left:
                await asyncio.sleep(_DRAIN_S)

    def close(self) -> None:
        """Say that this is the end."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


async def _ready(descriptor: int, *, reading: bool) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[None] = loop.create_future()
    add, remove = (
        (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
    )
    add(descriptor, _wake(waiting))
    try:
        await waiting
    finally:
        remove(descriptor)


def _wake(waiting: asyncio.Future[None]) -> Callable[[], None]:
    def wake() -> None:
        if not waiting.done():
            waiting.set_result(None)

    return wake
