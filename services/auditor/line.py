"""The auditor's own line to JetStream, for what no other service does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec

from shared.bus.api import ask_api
from shared.bus.base import EVENTS
from shared.bus.connection import BusSettings, Connection


class Durable(msgspec.Struct, frozen=True):
    """A durable consumer of EVENTS; every event up to `floor` is done with."""

    name: str
    config: dict[str, Any]
    floor: int


class Line:
    """Asks JetStream, looks at durables, and hears at once when the server was lost."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def when_cut(self, tell: Callable[[], None]) -> Iterator[None]:
        """Inside the block, call `tell` whenever the connection is lost."""
        self._connection.on_loss.append(tell)
        try:
            yield
        finally:
            self._connection.on_loss.remove(tell)

    async def ask(self, what: str, body: Any = None) -> dict[str, Any]:
        """Ask JetStream's API; raises ApiError, NoAnswerError."""
        return await ask_api(await self._connection.link(), what, body)

    async def send(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """Publish to a stream and wait for its answer, whatever that says."""
        link = await self._connection.link()
        await link.request(subject, data, headers=headers)

    async def durables(self, upto: int) -> list[Durable]:
        """Every durable of EVENTS, with what it is done with.

        `upto`: a sequence that the stream had before this call. A durable for which nothing is
        left is done with that, too, although its filter may have kept its floor low.
        """
        found: list[Durable] = []
        offset, total = 0, 1
        while offset < total:
            page = await self.ask(f"CONSUMER.LIST.{EVENTS}", {"offset": offset})
            consumers = page.get("consumers") or []
            offset, total = offset + max(len(consumers), 1), page["total"]
            found += [_durable(one, upto) for one in consumers if "durable_name" in one["config"]]
        return found


def _durable(info: dict[str, Any], upto: int) -> Durable:
    floor = info["ack_floor"]["stream_seq"]
    idle = info["num_pending"] == 0 and info["num_ack_pending"] == 0
    return Durable(info["name"], info["config"], max(floor, upto) if idle else floor)


@asynccontextmanager
async def line(settings: BusSettings) -> AsyncIterator[Line]:
    """A line that connects again whenever it is cut."""
    connection = Connection(settings, "auditor")
    async with connection.kept():
        yield Line(connection)
