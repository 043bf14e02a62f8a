"""Reading a consumer by pull requests, noticing at once when nothing can come any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import msgspec
import nats.errors
from nats.aio.msg import Msg

from shared.bus.api import NANOSECONDS
from shared.bus.base import Delivery
from shared.bus.errors import ConsumerGoneError, NoAnswerError
from shared.bus.link import Link

EXPIRES_S = 5.0
HEARTBEAT_S = 2.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Pulled(msgspec.Struct, frozen=True):
    """A message with what its reply subject says. `position` counts the consumer's deliveries."""

    delivery: Delivery
    position: int
    pending: int
    reply: str


class Puller:
    """Asks one consumer for messages, a batch at a time."""

    def __init__(self, link: Link, stream: str, consumer: str, inbox: str) -> None:
        self._link, self._inbox = link, inbox
        self._subject = f"{link.api}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._heard: asyncio.Queue[Msg] = asyncio.Queue()

    async def hear(self, message: Msg) -> None:
        """Take a message of the inbox; called by the client."""
        self._heard.put_nowait(message)

    async def batch(self, size: int, *, expires_s: float = EXPIRES_S) -> AsyncIterator[Pulled]:
        """Up to `size` messages; ends when the server says that no more come in time.

        Raises NoAnswerError when the server is silent, ConsumerGoneError without a consumer.
        """
        heartbeat_s = min(HEARTBEAT_S, expires_s / 2.5)
        ask = {
            "batch": size,
            "expires": int(expires_s * NANOSECONDS),
            "idle_heartbeat": int(heartbeat_s * NANOSECONDS),
        }
        await self._link.send(self._subject, msgspec.json.encode(ask), reply=self._inbox)
        while size > 0:
            message = await self._next(heartbeat_s * 2 + 1)
            status = message.headers.get("Status") if message.headers else None
            if status is None:
                size -= 1
                yield pulled(message)
            elif status != "100":
                _check_end(status, (message.headers or {}).get("Description", ""))
                return

    async def forever(self, size: int) -> AsyncIterator[Pulled]:
        """Batch after batch."""
        while True:
            async for one in self.batch(size):
                yield one

    async def _next(self, patience_s: float) -> Msg:
        if not self._heard.empty():
            return self._heard.get_nowait()
        return await self._link.run(self._subject, self._heard.get(), patience_s)


@asynccontextmanager
async def puller(link: Link, stream: str, consumer: str) -> AsyncIterator[Puller]:
    """A puller with an inbox of its own."""
    inbox = link.client.new_inbox()
    pulling = Puller(link, stream, consumer, inbox)
    # Without limits: what may be under way is bounded by the size of a batch.
    heard = await link.run(
        inbox,
        link.client.subscribe(inbox, cb=pulling.hear, pending_msgs_limit=0, pending_bytes_limit=0),
        5.0,
    )
    try:
        yield pulling
    finally:
        with suppress(nats.errors.Error, NoAnswerError):
            if not link.lost.is_set():
                await link.run(inbox, heard.unsubscribe(), 1.0)


def pulled(message: Msg) -> Pulled:
    """Read a JetStream message: `$JS.ACK.[domain.account.]stream.consumer.tries.seq...`."""
    parts = message.reply.split(".")
    if len(parts) >= 11:
        parts = [*parts[:2], *parts[4:]]
    stream, _, tries, seq, position, at, pending = parts[2:9]
    delivery = Delivery(
        stream=stream,
        subject=message.subject,
        seq=int(seq),
        at=_EPOCH + timedelta(microseconds=int(at) // 1000),
        headers=dict(message.headers or {}),
        data=message.data,
        tries=int(tries),
    )
    return Pulled(delivery, int(position), int(pending), message.reply)


def _check_end(status: str, description: str) -> None:
    if status in ("404", "408"):
        return
    if status == "409" and "deleted" not in description.lower():
        raise NoAnswerError(f"the pull ended: {description}")
    raise ConsumerGoneError(f"the consumer is gone: {description or status}")
