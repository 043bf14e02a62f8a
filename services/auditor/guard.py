"""Answers whether it is safe to write: only while the stream is what event_log says it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from services.auditor.comparison import StreamDamagedError, compare_all, compare_ends
from services.auditor.history import History
from shared.bus import Bus
from shared.bus.gate import Guarded
from shared.bus.lease import apart
from shared.errors import PlatformError

QUICK_EVENTS = 20_000
"""So many of the newest events are read again before the gate opens; the others behind it.

The server's figures do not tell everything: a flipped bit in the newest block can leave them whole.
"""
GENTLE_S = 0.2
"""The pause after each page of a scrub behind an open gate: at most 5,000 events a second."""
AGAIN_S = 5.0
"""How often a stream in doubt is compared again."""

_log = structlog.get_logger()


class _DoubtError(Exception):
    """Not a failure: what follows the stream starts anew once it is trusted again."""


class Guard:
    """The verdict on the stream.

    In doubt from the start, and from each lost connection, until the ends are compared; damaged
    until everything was read again and found equal.
    """

    def __init__(
        self, bus: Bus, history: History, *, check_every_s: float, scrub_every_s: float
    ) -> None:
        self._bus, self._history = bus, history
        self._check_every_s, self._scrub_every_s = check_every_s, scrub_every_s
        self._called, self._trusted, self._scrub_due = (asyncio.Event() for _ in range(3))
        self._damaged, self._unread = False, True
        self._next_doubt = asyncio.Event()
        self.verdict = Guarded(ok=False, cause="the event stream is not compared yet")

    def doubt(self, cause: str = "the event stream is compared again after a reconnect") -> None:
        """Close the gate until the stream is compared again; it may be another one now."""
        self._unread = True
        self._close(cause)
        self._next_doubt.set()
        self._next_doubt = asyncio.Event()
        self._called.set()

    def alarm(self, cause: str) -> None:
        """Close the gate until the whole stream was read again and found equal."""
        self._damaged = True
        self.doubt(cause)
        _log.error("event_stream_damaged", cause=cause)

    async def trusted(self) -> asyncio.Event:
        """Wait until it is safe to write; returns what is set at the next doubt."""
        await self._trusted.wait()
        return self._next_doubt

    async def while_trusted(self, *works: Callable[[], Awaitable[None]]) -> None:
        """Wait until it is safe, then run `works` until the next doubt cancels them."""
        doubt = await self.trusted()

        async def together() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(_doubted(doubt))
                for work in works:
                    group.create_task(_run(work))

        try:
            await apart(together)
        except* _DoubtError:
            pass

    async def work(self) -> None:
        """Compare at once, when called, and every so often; read everything as often as set."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._scrub_often())
            while True:
                self._called.clear()
                await self._compare()
                every = self._check_every_s if self._trusted.is_set() else AGAIN_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await self._called.wait()

    async def _compare(self) -> None:
        doubt = self._next_doubt
        try:
            await compare_ends(self._bus, self._history)
            if self._damaged or self._unread:
                await self._read()
        except StreamDamagedError as error:
            if not self._damaged:
                self.alarm(error.cause)
        except (PlatformError, TimeoutError) as error:
            self._close(f"the event stream cannot be compared: {error}")
        else:
            if not doubt.is_set():
                self._trust()

    async def _read(self) -> None:
        newest = None if self._damaged else QUICK_EVENTS
        read = await compare_all(self._bus, self._history, newest=newest)
        self._unread = read < (await self._history.tail()).seq

    def _trust(self) -> None:
        if not self._trusted.is_set():
            _log.info("event_stream_trusted")
        self._damaged = False
        self.verdict = Guarded(ok=True)
        self._trusted.set()
        if self._unread:
            self._scrub_due.set()

    def _close(self, cause: str) -> None:
        self._trusted.clear()
        self.verdict = Guarded(ok=False, cause=cause)

    async def _scrub_often(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._scrub_every_s):
                    await self._scrub_due.wait()
            self._scrub_due.clear()
            await self._trusted.wait()
            doubt = self._next_doubt
            try:
                count = await compare_all(self._bus, self._history, pause_s=GENTLE_S)
            except StreamDamagedError as error:
                self.alarm(error.cause)
            except (PlatformError, TimeoutError):
                self._scrub_due.set()  # the server went away; what it is now is read later
            else:
                self._unread = self._unread and doubt.is_set()
                _log.info("event_stream_read", events=count)


async def _doubted(doubt: asyncio.Event) -> None:
    await doubt.wait()
    raise _DoubtError


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()
