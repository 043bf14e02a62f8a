"""Durable deliveries in memory: one position per durable, repeats by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.bus.base import DLQ, Delivery, Handler
from shared.bus.deadletters import dead_letter, original, retry_subject
from shared.bus.memory_stream import MemoryStream, Stored
from shared.bus.redelivery import End, Redelivery, Verdict, handled
from shared.bus.subjects import first_matching

if TYPE_CHECKING:
    from shared.bus.memory import MemoryBus


class Durable:
    """What the server keeps of a durable: its position, and what is out or comes again."""

    def __init__(self, stream: MemoryStream, filters: Sequence[str]) -> None:
        self.stream, self.filters = stream, filters
        self._seen = 0
        self._due: dict[int, float] = {}
        self._tries: dict[int, int] = {}

    def next(self, now: float, silence_s: float) -> Delivery | None:
        """The next delivery that is due, counted as out until `silence_s` from now."""
        seq = min((seq for seq, at in self._due.items() if at <= now), default=0)
        if not seq and (fresh := next(self.stream.under(self.filters, self._seen), None)):
            seq = self._seen = fresh.seq
        if not seq:
            return None
        self._due[seq] = now + silence_s
        self._tries[seq] = self._tries.get(seq, 0) + 1
        found = self.stream.messages[seq - 1]
        return Delivery(
            found.stream, found.subject, seq, found.at, found.headers, found.data, self._tries[seq]
        )

    def put_off(self, seq: int, until: float) -> None:
        self._due[seq] = until

    def done(self, seq: int) -> None:
        self._due.pop(seq, None)
        self._tries.pop(seq, None)

    async def wait(self, now: float) -> None:
        """Until something new stands in the stream, or may be due."""
        soonest = min(self._due.values(), default=now + 1.0)
        pause_s = min(max(soonest - now, 0.005), 1.0)
        last = self.stream.last_seq
        if not any(first_matching(self.filters, one.subject) for one in self._unseen()):
            await self.stream.changed.wait_for_more(last, pause_s)
        else:
            await asyncio.sleep(0)

    def _unseen(self) -> list[Delivery]:
        return self.stream.after(self._seen)


async def work(  # noqa: PLR0913 - the bus before the arguments of `Bus.work`
    bus: MemoryBus,
    durable: str,
    stream: str,
    filters: Sequence[str],
    handler: Handler,
    *,
    parallel: int,
) -> None:
    """See `Bus.work`."""
    sources = [
        (durable, stream, filters),
        (f"{durable}-retry", DLQ, [retry_subject(durable)]),
    ]
    slots = asyncio.Semaphore(parallel)
    async with asyncio.TaskGroup() as group:
        for name, source, wanted in sources:
            known = _durable(bus, name, source, wanted)
            group.create_task(_serve(bus, durable, known, handler, slots))


def _durable(bus: MemoryBus, name: str, stream: str, filters: Sequence[str]) -> Durable:
    source = bus.server.stream(stream)
    known = source.durables.get(name)
    if known is None or list(known.filters) != list(filters):
        known = source.durables[name] = Durable(source, filters)
    return known


async def _serve(
    bus: MemoryBus, durable: str, known: Durable, handler: Handler, slots: asyncio.Semaphore
) -> None:
    clock, pace = bus.server.clock, bus.pace
    async with asyncio.TaskGroup() as group:
        while True:
            await slots.acquire()
            delivery = known.next(clock(), pace.silence_s)
            if delivery is None:
                slots.release()
                await known.wait(clock())
                continue
            task = group.create_task(_deliver(bus, durable, known, delivery, handler))
            task.add_done_callback(lambda _: slots.release())


async def _deliver(
    bus: MemoryBus, durable: str, known: Durable, delivery: Delivery, handler: Handler
) -> None:
    beating = asyncio.create_task(_beat(bus, known, delivery.seq, bus.pace))
    try:
        verdict = await handled(original(delivery), handler, bus.pace)
    finally:
        beating.cancel()
    _conclude(bus, durable, known, delivery, verdict)


def _conclude(
    bus: MemoryBus, durable: str, known: Durable, delivery: Delivery, verdict: Verdict
) -> None:
    if verdict.end is End.AGAIN:
        known.put_off(delivery.seq, bus.server.clock() + bus.pace.delay_s(delivery.tries))
    elif verdict.end is End.LEFT:
        known.put_off(delivery.seq, bus.server.clock() + bus.pace.silence_s)
    else:
        if verdict.end is End.DEAD:
            letter = dead_letter(durable, delivery, verdict)
            bus.server.stream(DLQ).append(Stored(letter.subject, letter.headers, letter.data))
        known.done(delivery.seq)


async def _beat(bus: MemoryBus, known: Durable, seq: int, pace: Redelivery) -> None:
    while True:
        await asyncio.sleep(pace.heartbeat_s)
        known.put_off(seq, bus.server.clock() + pace.silence_s)
