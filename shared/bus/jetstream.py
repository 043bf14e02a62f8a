"""The bus over NATS JetStream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from nats.aio.msg import Msg

from shared.bus.api import ask_api
from shared.bus.base import (
    DLQ,
    Answerer,
    Appended,
    Bus,
    Delivery,
    Draft,
    Expect,
    Handler,
    Kv,
    StreamState,
)
from shared.bus.buckets import JetStreamKv
from shared.bus.connection import BusSettings, Connection
from shared.bus.consuming import Worker
from shared.bus.deadletters import chosen, retry, waiting
from shared.bus.errors import NoAnswerError
from shared.bus.gate import GUARD, Gate
from shared.bus.link import Link
from shared.bus.publishing import Publisher, Raw, raw
from shared.bus.reading import LAST_OF_EACH, Reader, from_seq
from shared.bus.redelivery import Redelivery
from shared.bus.subjects import checked_subject, stream_of
from shared.messages.base import Fact, Order, Output, Setting

__all__ = ["BusSettings", "JetStreamBus", "connect"]

_log = structlog.get_logger()


@asynccontextmanager
async def connect(
    settings: BusSettings, *, source: str, gate: bool = True, pace: Redelivery | None = None
) -> AsyncIterator[Bus]:
    """A bus for the block. `source` names the saying service.

    `gate=False` is for the auditor, who opens the gate, and for bootstrap. Raises
    NoAnswerError when NATS cannot be reached within half a minute.
    """
    connection = Connection(settings, source)
    bus = JetStreamBus(connection, settings, source=source, gate=gate, pace=pace or Redelivery())
    async with connection.kept(), bus.running():
        yield bus


class JetStreamBus:
    """A `Bus`; made by `connect`."""

    def __init__(
        self,
        connection: Connection,
        settings: BusSettings,
        *,
        source: str,
        gate: bool,
        pace: Redelivery,
    ) -> None:
        self._connection, self._source, self._pace = connection, source, pace
        self._reader = Reader(connection, settings.nats_readers)
        self._gate = Gate(lambda: self.ask(GUARD)) if gate else None
        self._publisher = Publisher(connection, self._reader, self._gate, source)
        self._answerers: dict[str, Answerer] = {}
        self._background: set[asyncio.Task[None]] = set()
        connection.on_link.append(self._subscribe_answers)
        if self._gate is not None:
            connection.on_loss.append(self._gate.shut)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the gate inside the block, and end what is still under way at its end."""
        if self._gate is not None:
            self._start(self._gate.watch())
        try:
            yield
        finally:
            for task in list(self._background):
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)

    async def append(
        self, message: Fact | Setting | Order, *, expect: Expect | None = None
    ) -> Appended:
        return await self._publisher.append(message, expect)

    async def append_all(self, drafts: Sequence[Draft]) -> Appended:
        return await self._publisher.append_all(drafts)

    async def keep(self, stream: str, subject: str, data: bytes, *, key: str) -> int:
        one = Raw(checked_subject(subject), {"Nats-Msg-Id": key}, data)
        return (await self._publisher.store(stream, one)).seq

    async def last_of(self, subject: str) -> list[Delivery]:
        return await self._reader.standing(stream_of(subject), subject, LAST_OF_EACH)

    async def work(
        self,
        durable: str,
        stream: str,
        filters: Sequence[str],
        handler: Handler,
        *,
        parallel: int = 1,
    ) -> None:
        worker = Worker(
            self._connection,
            self._publisher,
            durable,
            handler,
            pace=self._pace,
            parallel=parallel,
        )
        await worker.work(stream, filters)

    def follow(
        self, stream: str, *, after_seq: int, filters: Sequence[str] = (">",)
    ) -> AsyncIterator[Delivery]:
        start = {"deliver_policy": "new"} if after_seq < 0 else from_seq(after_seq + 1)
        return self._reader.follow(stream, filters, start, after_seq=after_seq)

    async def dead_letters(self, durable: str = "*") -> list[Delivery]:
        return waiting(await self._reader.standing(DLQ, ">", from_seq(1)), durable)

    async def replay(self, durable: str, *, letter: int | None = None) -> int:
        letters = chosen(await self.dead_letters(durable), letter)
        for one in letters:
            again = retry(one)
            await self._publisher.store(DLQ, Raw(again.subject, again.headers, again.data))
        return len(letters)

    async def state(self, stream: str) -> StreamState:
        link = await self._connection.link()
        state = (await ask_api(link, f"STREAM.INFO.{stream}"))["state"]
        return StreamState(
            state["first_seq"], state["last_seq"], state["messages"], state.get("num_deleted", 0)
        )

    def kv(self, bucket: str) -> Kv:
        return JetStreamKv(bucket, self._connection, self._reader)

    async def say(self, output: Output) -> None:
        with suppress(NoAnswerError):
            link = await self._connection.link(within_s=0)
            one = raw(output, self._source)
            self._start(_said(link, one))

    async def ask(self, subject: str, data: bytes = b"", *, timeout_s: float = 2.0) -> bytes:
        link = await self._connection.link(within_s=timeout_s)
        return (await link.request(checked_subject(subject), data, timeout_s=timeout_s)).data

    async def answer(self, subject: str, answerer: Answerer) -> None:
        self._answerers[checked_subject(subject)] = answerer
        await self._subscribe(await self._connection.link(), subject)

    async def _subscribe_answers(self, link: Link) -> None:
        for subject in self._answerers:
            await self._subscribe(link, subject)

    async def _subscribe(self, link: Link, subject: str) -> None:
        async def hear(message: Msg) -> None:
            self._start(self._answer(link, message, self._answerers[subject]))

        await link.run(subject, link.client.subscribe(subject, cb=hear), 5.0)
        await link.run(subject, link.client.flush(), 5.0)

    async def _answer(self, link: Link, message: Msg, answerer: Answerer) -> None:
        if message.reply and (answer := await answerer(message.data)) is not None:
            await link.send(message.reply, answer)

    def _start(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(doing))
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _said(link: Link, one: Raw) -> None:
    await link.send(one.subject, one.data, headers=one.headers)


async def _logged(doing: Coroutine[Any, Any, None]) -> None:
    """Nobody awaits what runs in the background, so its failures are said in the log."""
    try:
        await doing
    except NoAnswerError:
        pass  # output and answers may be lost in a cut
    except Exception as error:
        _log.error("background_failed", error=f"{type(error).__name__}: {error}")
