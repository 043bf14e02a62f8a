"""A real HTTP receiver that checks signatures with the `standardwebhooks` library."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

SECRET = "whsec_" + base64.b64encode(b"a secret of the receiver, 32 byte").decode()


class Receiver:
    """Takes notes; `answers` says how the next requests end (status, headers), then 204."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.requests = 0
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.hang: asyncio.Event | None = None
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.hang is not None:
            await self.hang.wait()
        body = await request.read()
        verified = Verifier(SECRET).verify(body, dict(request.headers))
        if self.answers:
            status, headers = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text="the receiver's own words")
        self.heard.append(verified)
        self.ids.append(request.headers["webhook-id"])
        return web.Response(status=204)


@asynccontextmanager
async def receiving(trust: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1, with TLS if given a server's context."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trust)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"{'https' if trust else 'http'}://127.0.0.1:{port}/notes"
    try:
        yield receiver
    finally:
        if receiver.hang is not None:
            receiver.hang.set()
        await runner.cleanup()
