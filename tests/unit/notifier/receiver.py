"""Real receivers: of webhooks, checked with the `standardwebhooks` library, and as Slack."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

SECRET = "whsec_" + base64.b64encode(b"a secret of the receiver, 32 byte").decode()


class Receiver:
    """Takes notes; `answers` says how the next requests end (status, headers), then 204."""

    certificate = ""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.requests = 0
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.hang: asyncio.Event | None = None
        self.url = ""

    @property
    def texts(self) -> list[str]:
        return [one["text"] for one in self.heard]

    def refuse_for_now(self) -> None:
        self.answers.append((503, {}))

    def be_gone(self) -> None:
        self.answers.append((410, {}))

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.hang is not None:
            await self.hang.wait()
        said = self.read(await request.read(), dict(request.headers))
        if self.answers:
            status, headers = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text="the receiver's own words")
        self.heard.append(said)
        self.ids.append(self.id_of(said, dict(request.headers)))
        return web.Response(status=204)

    def read(self, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        verified: dict[str, Any] = Verifier(SECRET).verify(body, headers)
        return verified

    def id_of(self, _said: dict[str, Any], headers: dict[str, str]) -> str:
        return headers["webhook-id"]


class SlackReceiver(Receiver):
    """Shows what it takes as Slack does: entities decoded, anything else in angles is no text."""

    @property
    def texts(self) -> list[str]:
        return [html.unescape(one["blocks"][0]["text"]["text"]) for one in self.heard]

    def read(self, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(body)
        return said

    def id_of(self, said: dict[str, Any], headers: dict[str, str]) -> str:
        return str(said["blocks"][1]["elements"][0]["text"]).rsplit(" ", 1)[-1]


@asynccontextmanager
async def receiving(
    trust: ssl.SSLContext | None = None, kind: type[Receiver] = Receiver
) -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1, with TLS if given a server's context."""
    receiver = kind()
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
