"""An HTTP server that records what it is sent, and answers as a test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from multidict import CIMultiDict


class Received(msgspec.Struct, frozen=True):
    """One request, as it came."""

    method: str
    path: str
    headers: CIMultiDict[str]
    body: bytes


class Receiver:
    """`requests` grows in the order of arrival; `answers` are used up first, then `answer`."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Received] = []
        self.answers: list[int] = []
        self.answer = 200

    async def _receive(self, request: web.Request) -> web.Response:
        self.requests.append(
            Received(
                request.method,
                request.path_qs,
                CIMultiDict(request.headers),
                await request.read(),
            )
        )
        return web.Response(status=self.answers.pop(0) if self.answers else self.answer)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a port of the loopback address, on every path and method."""
    receiving = Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", receiving._receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        receiving.url = f"http://{host}:{port}"
        yield receiving
    finally:
        await runner.cleanup()
