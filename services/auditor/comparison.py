"""Compares the stream with event_log: quickly by what the server says, wholly by reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.auditor.history import PAGE, History, Tail
from services.auditor.ledger import hash_of
from shared.bus import Bus, Delivery, StreamState
from shared.bus.base import EVENTS
from shared.ending import ended
from shared.errors import PlatformError

SILENCE_S = 3.0
PATIENCE = 2
"""So many silences of a reachable server in a row count as damage."""


class StreamDamagedError(PlatformError):
    """The stream is not what event_log says was stored; `cause` is the alarm's sentence."""

    code = "log.damaged"
    default_fix = "run `holdfast repair`"


def fault_of(stream: StreamState, tail: Tail) -> str | None:
    """What the server's figures give away: a lost tail, a lost head, or a hole."""
    if stream.last_seq < tail.seq:
        return f"the stream ends at event {stream.last_seq}, but {tail.seq} were stored"
    if stream.last_seq and stream.first_seq != 1:
        return f"the stream begins at event {stream.first_seq}"
    if stream.messages != stream.last_seq or stream.deleted:
        return f"{stream.last_seq - stream.messages} events are missing inside the stream"
    return None


async def compare_ends(bus: Bus, history: History) -> None:
    """The quick comparison: figures, and the hash of the last event. Raises StreamDamagedError."""
    tail = await history.tail()
    if (fault := fault_of(await bus.state(EVENTS), tail)) is not None:
        raise StreamDamagedError(fault)
    if tail.seq:
        async with aclosing(Reading(bus, tail.seq - 1)) as reading:
            _compare(await reading.next(tail.seq), tail.seq, tail.hash)


async def compare_all(
    bus: Bus, history: History, *, newest: int | None = None, pause_s: float = 0.0
) -> int:
    """Read every event again, or only the `newest`; returns how many were equal.

    `pause_s` after each page leaves the server to others. Raises StreamDamagedError.
    """
    last = (await history.tail()).seq
    start = 1 if newest is None else max(1, last - newest + 1)
    async with aclosing(Reading(bus, start - 1)) as reading:
        for first in range(start, last + 1, PAGE):
            expected = await history.hashes(first, min(first + PAGE - 1, last))
            for seq, digest in enumerate(expected, first):
                _compare(await reading.next(seq), seq, digest)
            await asyncio.sleep(pause_s)
    return last - start + 1


def _compare(delivery: Delivery, seq: int, digest: bytes) -> None:
    if delivery.seq != seq:
        raise StreamDamagedError(f"event {seq} is missing: {delivery.seq} came instead")
    if hash_of(delivery) != digest:
        raise StreamDamagedError(f"event {seq} is not the one that was stored")


class Reading:
    """Reads the stream after a sequence; a server that goes silent over a block is damage."""

    def __init__(self, bus: Bus, after_seq: int) -> None:
        self._bus = bus
        self._stream = aiter(bus.follow(EVENTS, after_seq=after_seq))
        self._coming: asyncio.Task[Delivery] | None = None

    async def next(self, seq: int) -> Delivery:
        """The next event, which should be `seq`. Raises StreamDamagedError, UnavailableError."""
        for _ in range(PATIENCE):
            if self._coming is None:
                self._coming = asyncio.ensure_future(self._stream.__anext__())
            done, _pending = await asyncio.wait([self._coming], timeout=SILENCE_S)
            if done:
                coming, self._coming = self._coming, None
                return coming.result()
            await self._bus.state(EVENTS)  # an unreachable server is no damage: this raises
        raise StreamDamagedError(f"the server does not hand over event {seq}")

    async def aclose(self) -> None:
        if self._coming is not None:
            await ended(self._coming)
        if isinstance(self._stream, AsyncGenerator):
            await self._stream.aclose()
