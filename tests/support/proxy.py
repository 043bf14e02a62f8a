"""A TCP proxy that a test can make deaf, or freeze, as a bad network would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.listening import listening


class Proxy:
    """Passes bytes on. `to_client` / `to_server` cleared: that direction drops everything.

    `lingering`: the client does not hear that the server closed.
    `delay_s`: how long each piece of an answer waits, as on a slow line.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.port = 0
        self.lingering = False
        self.delay_s = 0.0
        self.to_client, self.to_server = asyncio.Event(), asyncio.Event()
        self.mend()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def mend(self) -> None:
        self.to_client.set()
        self.to_server.set()

    def cut(self) -> None:
        """Reset every connection."""
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        with suppress(OSError):
            from_server, server = await asyncio.open_connection("127.0.0.1", self._port)
            pair = writer, server
            self._pairs.add(pair)
            # What a connection loses, it has lost: its successor begins clean.
            await asyncio.gather(self._ask(reader, server), self._answer(from_server, writer))
            self._pairs.discard(pair)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _pass(reader, writer, self.to_server)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _pass(reader, writer, self.to_client, self.delay_s)
        if not self.lingering:
            writer.close()


async def _pass(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    open_: asyncio.Event,
    delay_s: float = 0.0,
) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            if delay_s:
                await asyncio.sleep(delay_s)
            if open_.is_set():
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """A proxy before `port` of this machine."""
    passing = Proxy(port)
    async with listening(passing.serve) as passing.port:
        try:
            yield passing
        finally:
            passing.cut()
