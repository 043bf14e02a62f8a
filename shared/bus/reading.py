"""Reading without a position: what stands under a filter, the last of each, and what follows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from shared.bus.api import CONSUMER_EXISTS, NANOSECONDS, ApiError, Source, create_consumer
from shared.bus.base import Delivery
from shared.bus.connection import Connection
from shared.bus.errors import ConsumerGoneError, NoAnswerError
from shared.bus.link import Link
from shared.bus.pulling import Puller, puller
from shared.bus.subjects import checked_subject, common, first_matching

BATCH = 100
SHORT_S, LONG_S = 2.0, 30.0
"""How long the server keeps a consumer that nobody reads."""

LAST_OF_EACH = {"deliver_policy": "last_per_subject"}


def from_seq(seq: int) -> dict[str, Any]:
    """The part of a consumer's configuration that starts it at a sequence."""
    if seq <= 1:
        return {"deliver_policy": "all"}
    return {"deliver_policy": "by_start_sequence", "opt_start_seq": seq}


class Reader:
    """Reads streams through consumers that have one filter and no acks."""

    def __init__(self, connection: Connection, readers: int = 0) -> None:
        self._connection, self._readers = connection, readers

    async def standing(
        self, stream: str, pattern: str, start: dict[str, Any], *, within_s: float = 10.0
    ) -> list[Delivery]:
        """What matches now, in order; raises NoAnswerError when it cannot be read in time."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            try:
                return await self._standing(stream, pattern, start)
            except (NoAnswerError, ConsumerGoneError):
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(0.1)

    async def _standing(self, stream: str, pattern: str, start: dict[str, Any]) -> list[Delivery]:
        link = await self._connection.link()
        found: list[Delivery] = []
        async with self.opened(link, stream, pattern, start, SHORT_S) as (pulling, info):
            left = int(info["num_pending"])
            while left > len(found):
                before = len(found)
                async for one in pulling.batch(min(left - before, BATCH), expires_s=1.0):
                    if one.position != len(found) + 1:
                        raise ConsumerGoneError("a message was lost on the way")
                    found.append(one.delivery)
                if len(found) == before:
                    break  # what was counted has expired meanwhile
        return found

    async def follow(
        self, stream: str, filters: Sequence[str], start: dict[str, Any], *, after_seq: int
    ) -> AsyncGenerator[Delivery, None]:
        """Every match from `start`, then everything after the last one seen, for ever."""
        pattern, seen = common(filters), after_seq
        while True:
            try:
                link = await self._connection.link()
                async with self.opened(link, stream, pattern, start, LONG_S) as (pulling, info):
                    seen = max(seen, int(info["delivered"]["stream_seq"]) if seen < 0 else seen)
                    start, position = from_seq(seen + 1), 0
                    async for one in pulling.forever(BATCH):
                        position += 1
                        if one.position != position:
                            break  # a gap: read again from the last one seen
                        seen = one.delivery.seq
                        start = from_seq(seen + 1)
                        if first_matching(filters, one.delivery.subject):
                            yield one.delivery
            except (NoAnswerError, ConsumerGoneError):
                await asyncio.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - spreads load

    @asynccontextmanager
    async def opened(
        self, link: Link, stream: str, pattern: str, start: dict[str, Any], keep_s: float
    ) -> AsyncIterator[tuple[Puller, dict[str, Any]]]:
        """A new consumer of our own, and the server's words about it."""
        config = {
            **start,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(keep_s * NANOSECONDS),
        }
        info = await self._create(link, stream, checked_subject(pattern, wildcards=True), config)
        async with puller(link, stream, info["name"]) as pulling:
            yield pulling, info

    async def _create(
        self, link: Link, stream: str, pattern: str, config: dict[str, Any]
    ) -> dict[str, Any]:
        for name in self._names():
            try:
                return await create_consumer(link, Source(name, stream, pattern), config)
            except ApiError as error:
                if error.number not in CONSUMER_EXISTS:
                    raise
        raise NoAnswerError(f"all {self._readers} readers of {self._connection.user} are in use")

    def _names(self) -> list[str]:
        user = self._connection.user
        if not self._readers:
            return [f"{user}-{uuid4().hex}"]
        return random.sample([f"{user}-r{n}" for n in range(self._readers)], self._readers)
