"""Durable deliveries: pull, run the handler, and end each delivery in one of four ways."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import structlog

from shared.bus.api import NANOSECONDS, Source, create_consumer
from shared.bus.base import DLQ, Handler
from shared.bus.connection import Connection
from shared.bus.deadletters import dead_letter, original, retry_subject
from shared.bus.errors import ConsumerGoneError, NoAnswerError
from shared.bus.link import Link
from shared.bus.publishing import Publisher, Raw
from shared.bus.pulling import Pulled, puller
from shared.bus.redelivery import End, Redelivery, Verdict, handled
from shared.bus.subjects import checked_subject
from shared.errors import UnavailableError

_log = structlog.get_logger()


def sources(durable: str, stream: str, filters: Sequence[str]) -> list[Source]:
    """A durable as consumers of one filter each, and one for its replayed dead letters."""
    names = [durable] if len(filters) == 1 else [f"{durable}_{_slug(one)}" for one in filters]
    found = [Source(name, stream, one) for name, one in zip(names, filters, strict=True)]
    return [*found, Source(f"{durable}-retry", DLQ, retry_subject(durable))]


def _slug(pattern: str) -> str:
    return pattern.replace(".", "_").replace("*", "any").replace(">", "all")


class Worker:
    """The deliveries of one durable, at most `parallel` of them in hand."""

    def __init__(  # noqa: PLR0913 - what a worker is made of
        self,
        connection: Connection,
        publisher: Publisher,
        durable: str,
        handler: Handler,
        *,
        pace: Redelivery,
        parallel: int,
    ) -> None:
        self._connection, self._publisher = connection, publisher
        self._durable, self._handler, self._pace = durable, handler, pace
        self._slots = asyncio.Semaphore(parallel)

    async def work(self, stream: str, filters: Sequence[str]) -> None:
        """For ever; cancelling leaves what is in hand as it is."""
        async with asyncio.TaskGroup() as group:
            for source in sources(self._durable, stream, filters):
                group.create_task(self._serve(source, group))

    async def _serve(self, source: Source, group: asyncio.TaskGroup) -> None:
        while True:
            try:
                link = await self._connection.link()
                await self._ensure(link, source)
                async with puller(link, source.stream, source.consumer) as pulling:
                    while True:
                        await self._free_slot()
                        async for one in pulling.batch(1):
                            group.create_task(self._deliver(one))
                            # It takes its slot before the next one is asked for: another
                            # worker may be free.
                            await asyncio.sleep(0)
            except (NoAnswerError, ConsumerGoneError):
                await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - spreads load

    async def _free_slot(self) -> None:
        async with self._slots:
            pass

    async def _ensure(self, link: Link, source: Source) -> None:
        config = {
            "durable_name": source.consumer,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(self._pace.silence_s * NANOSECONDS),
            # Counted here, not by the server: it would leave the last one stuck, unseen.
            "max_deliver": -1,
            "max_ack_pending": 1000,
        }
        checked_subject(source.pattern, wildcards=True)
        await create_consumer(link, source, config, action="")

    async def _deliver(self, one: Pulled) -> None:
        beating = asyncio.create_task(self._beat(one.reply))
        try:
            async with self._slots:
                verdict = await handled(original(one.delivery), self._handler, self._pace)
            await self._conclude(one, verdict)
        finally:
            beating.cancel()

    async def _conclude(self, one: Pulled, verdict: Verdict) -> None:
        if verdict.end is End.LEFT:
            return
        if verdict.end is End.DONE:
            await self._tell(one.reply, b"+ACK")
        elif verdict.end is End.AGAIN:
            delay = int(self._pace.delay_s(one.delivery.tries) * NANOSECONDS)
            await self._tell(one.reply, b"-NAK " + msgspec.json.encode({"delay": delay}))
        elif await self._dead(one, verdict):
            await self._tell(one.reply, b"+TERM")

    async def _dead(self, one: Pulled, verdict: Verdict) -> bool:
        """Keep a dead letter; False when that failed, and the delivery must come again."""
        letter = dead_letter(self._durable, one.delivery, verdict)
        _log.error("dead_letter", durable=self._durable, code=verdict.code, seq=one.delivery.seq)
        try:
            await self._publisher.store(DLQ, Raw(letter.subject, letter.headers, letter.data))
        except UnavailableError:
            return False
        return True

    async def _tell(self, reply: str, what: bytes) -> None:
        """Answer a delivery. A lost answer only means that it comes again."""
        with suppress(NoAnswerError):
            link = await self._connection.link()
            await link.request(reply, what)

    async def _beat(self, reply: str) -> None:
        while True:
            await asyncio.sleep(self._pace.heartbeat_s)
            with suppress(NoAnswerError):
                link = await self._connection.link()
                await link.send(reply, b"+WPI")
