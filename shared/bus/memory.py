"""The bus in one process's memory, for tests: the same promises, no server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from shared import metrics, trace
from shared.bus import memory_work
from shared.bus.base import (
    COMMANDS,
    DLQ,
    EVENTS,
    LOGS,
    Answerer,
    Appended,
    Delivery,
    Draft,
    Expect,
    Handler,
    Kv,
    StreamState,
    WrongSequenceError,
)
from shared.bus.deadletters import chosen, retry, waiting
from shared.bus.gate import PATIENCE_S, closed, says_ok
from shared.bus.memory_kv import MemoryKv
from shared.bus.memory_stream import MemoryStream, Stored
from shared.bus.redelivery import Redelivery
from shared.bus.subjects import checked_subject, first_matching, stream_of
from shared.errors import UnavailableError
from shared.messages import wire
from shared.messages.base import Fact, Order, Output, Setting


class MemoryServer:
    """What several memory buses share, as processes share a NATS server."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.clock = clock or (lambda: asyncio.get_running_loop().time())
        self.streams: dict[str, MemoryStream] = {}
        self.buckets: dict[str, MemoryKv] = {}
        self.answerers: dict[str, Answerer] = {}

    def stream(self, name: str) -> MemoryStream:
        return self.streams.setdefault(name, MemoryStream(name, self.clock))


class MemoryBus:
    """A `Bus`. It is also its own `connect`: make one per service over one `MemoryServer`.

    `gate=True` holds facts and settings until `ask.auditor.guard` answers ok."""

    def __init__(
        self,
        server: MemoryServer | None = None,
        *,
        source: str = "test",
        gate: bool = False,
        pace: Redelivery | None = None,
    ) -> None:
        self.server = server or MemoryServer()
        self.source = source
        self.pace = pace or Redelivery()
        self._gate = gate

    async def append(
        self, message: Fact | Setting | Order, *, expect: Expect | None = None
    ) -> Appended:
        stream = self.server.stream(stream_of(checked_subject(message.subject)))
        await self._pass_gate(stream.name)
        stored = self._stored(message)
        if expect is not None and stream.last(expect.subject or stored.subject) != expect.seq:
            return _found_or_conflict(stream, stored, expect.seq)
        metrics.said(message)
        return stream.append(stored)

    async def append_all(self, drafts: Sequence[Draft]) -> Appended:
        stream = self.server.stream(EVENTS)
        await self._pass_gate(EVENTS)
        batch = [self._stored(draft.message) for draft in drafts]
        for draft, stored in zip(drafts, batch, strict=True):
            wanted = draft.expect
            if wanted is not None and stream.last(wanted.subject or stored.subject) != wanted.seq:
                return _found_or_conflict(stream, batch[-1], 0)
        if (seq := stream.find(batch[-1], after_seq=0)) is not None:
            return Appended(seq, already=True)
        for draft in drafts:
            metrics.said(draft.message)
        return [stream.append(stored) for stored in batch][-1]

    async def keep(self, stream: str, subject: str, data: bytes, *, key: str) -> int:
        stored = Stored(checked_subject(subject), {"Nats-Msg-Id": key}, data)
        return self.server.stream(stream).append(stored).seq

    async def last_of(self, subject: str) -> list[Delivery]:
        stream = self.server.stream(stream_of(subject))
        newest = {one.subject: one for one in stream.under([subject], 0)}
        return sorted(newest.values(), key=lambda delivery: delivery.seq)

    async def work(
        self,
        durable: str,
        stream: str,
        filters: Sequence[str],
        handler: Handler,
        *,
        parallel: int = 1,
    ) -> None:
        await memory_work.work(self, durable, stream, filters, handler, parallel=parallel)

    async def follow(
        self, stream: str, *, after_seq: int, filters: Sequence[str] = (">",)
    ) -> AsyncIterator[Delivery]:
        source = self.server.stream(stream)
        seen = source.last_seq if after_seq < 0 else after_seq
        while True:
            for delivery in source.after(seen):
                seen = delivery.seq
                if first_matching(filters, delivery.subject):
                    yield delivery
            await source.changed.wait_for_more(seen)

    async def dead_letters(self, durable: str = "*") -> list[Delivery]:
        return waiting(self.server.stream(DLQ).messages, durable)

    async def replay(self, durable: str, *, letter: int | None = None) -> int:
        letters = chosen(await self.dead_letters(durable), letter)
        for one in letters:
            again = retry(one)
            self.server.stream(DLQ).append(Stored(again.subject, again.headers, again.data))
        return len(letters)

    async def state(self, stream: str) -> StreamState:
        source = self.server.stream(stream)
        count = len(source.messages)
        return StreamState(min(count, 1), source.last_seq, count, 0)

    def kv(self, bucket: str) -> Kv:
        buckets = self.server.buckets
        return buckets.setdefault(bucket, MemoryKv(bucket, self.server.clock))

    async def say(self, output: Output) -> None:
        self.server.stream(LOGS).append(self._stored(output))

    async def ask(self, subject: str, data: bytes = b"", *, timeout_s: float = 2.0) -> bytes:
        answerer = self.server.answerers.get(subject)
        try:
            if answerer is not None:
                async with asyncio.timeout(timeout_s):
                    answer = await answerer(data)
                if answer is not None:
                    return answer
        except TimeoutError:
            pass
        raise UnavailableError(f"nobody answers on {subject}")

    async def answer(self, subject: str, answerer: Answerer) -> None:
        self.server.answerers[checked_subject(subject)] = answerer

    async def _pass_gate(self, stream: str) -> None:
        if not self._gate or stream == COMMANDS:
            return
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            if await self._guard_says_ok():
                return
            await asyncio.sleep(0.05)
        raise closed()

    async def _guard_says_ok(self) -> bool:
        try:
            return says_ok(await self.ask("ask.auditor.guard"))
        except UnavailableError:
            return False

    def _stored(self, message: Fact | Setting | Order | Output) -> Stored:
        return Stored(
            message.subject,
            wire.headers(message, self.source) | trace.headers(),
            wire.encode(message),
        )


def _found_or_conflict(stream: MemoryStream, stored: Stored, after_seq: int) -> Appended:
    seq = stream.find(stored, after_seq=after_seq)
    if seq is None:
        raise WrongSequenceError(f"somebody appended to {stored.subject} first")
    return Appended(seq, already=True)
