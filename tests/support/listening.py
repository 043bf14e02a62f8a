"""Servers of a test: on a free port of this machine, for as long as a block runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, *, limit: int = 1 << 16) -> AsyncIterator[int]:
    """The port where each connection is served; `limit`: bytes read ahead of each."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=limit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
