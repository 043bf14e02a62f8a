"""A gateway over the bus in memory, real PostgreSQL, and the auditor's own projection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from cryptography.fernet import Fernet

from services.auditor.ledger import recorded
from services.auditor.writer import Writer, connected
from services.executor.engines import AnyEngine
from services.executor.runners import AnyRunner
from services.gateway.app import create_app
from services.gateway.dependencies import Dependencies, wire
from services.gateway.settings import Settings
from services.notifier.channels import AnyChannel
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus, MemoryServer
from shared.errors import UnavailableError
from shared.keys.bucket import BusKeys
from shared.keys.vault import Vault
from shared.plugins import announce
from shared.readmodel.reader import read_model
from shared.stores import AnyStore

ORIGIN = "http://gateway.test"
TOKEN = "one-time-token-of-the-first-admin"
PASSWORD = "correct horse battery"
EMAIL = "Ada@example.com"
SERVER = {
    "name": "shop",
    "runner": {"kind": "local"},
    "endpoints": [
        {
            "name": "main",
            "engine": {
                "kind": "postgresql",
                "host": "127.0.0.1",
                "port": 5432,
                "user": "shop",
                "password": "canary-5b1f",
            },
        }
    ],
}


class Platform:
    """What a test holds: the servers behind, and gateways that come and go."""

    def __init__(self, server: MemoryServer, settings: Settings, bus: MemoryBus) -> None:
        self.server, self.settings, self.bus = server, settings, bus
        self.projecting = asyncio.Event()
        self.projecting.set()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        """A gateway process: what it remembers in memory ends with the block."""
        bus = MemoryBus(self.server, source="gateway")
        vault = Vault(BusKeys(bus), [self.settings.encryption_key])
        async with read_model(self.settings.database_url) as model:
            deps = wire(self.settings, bus, model, vault)
            following = asyncio.create_task(deps.live.follow())
            app: Any = create_app(deps)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                yield Gateway(client, deps)
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def project(self) -> None:
        """What the auditor does, for ever: each event in order, unless `projecting` is clear.

        On a machine that stood still for two seconds Postgres ends a paused auditor's
        connection; the auditor then begins again, so this does.
        """
        while True:
            with suppress(UnavailableError):
                async with connected(self.settings.database_url) as connection:
                    await self._write_with(await Writer.take_over(connection))

    async def _write_with(self, writer: Writer) -> None:
        async for delivery in self.bus.follow(EVENTS, after_seq=writer.seq):
            await self.projecting.wait()
            await writer.write([recorded(delivery, [])])


class Gateway:
    """HTTP calls to one gateway."""

    def __init__(self, client: httpx.AsyncClient, deps: Dependencies) -> None:
        self.client, self.deps = client, deps

    async def call(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """A call below /api/v1; `if_match="..."` becomes the header `If-Match`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(method, f"/api/v1{path}", json=body, headers=named)

    async def set_up(self) -> dict[str, Any]:
        """Make the first administrator, and send the token with every further call."""
        body = {"token": TOKEN, "name": "Ada", "email": EMAIL, "password": PASSWORD}
        return self.signed_in(await self.call("POST", "/setup", body))

    async def log_in(self, email: str = EMAIL, password: str = PASSWORD) -> dict[str, Any]:
        """Sign in, and send the token with every further call."""
        return self.signed_in(
            await self.call("POST", "/auth/login", {"email": email, "password": password})
        )

    def signed_in(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.is_success, answer.text
        tokens: dict[str, Any] = answer.json()
        self.client.headers["authorization"] = f"Bearer {tokens['access_token']}"
        return tokens

    async def add_server(self, **changes: Any) -> dict[str, Any]:
        return await self.add("/servers", {**SERVER, **changes})

    async def add_store(self, root: Path) -> dict[str, Any]:
        return await self.add(
            "/stores", {"name": root.name, "store": {"kind": "local", "root": str(root)}}
        )

    async def add(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.call("POST", path, body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


def settings_for(database_url: str, directory: Path) -> Settings:
    token_file = directory / "admin-token"
    token_file.write_text(TOKEN)
    return Settings(
        database_url=database_url,
        encryption_key=Fernet.generate_key().decode(),
        secret_key="a secret key that is long enough for everybody",
        admin_token_file=str(token_file),
    )


async def announce_all(bus: MemoryBus) -> None:
    """What executor, storage and notifier announce when they start."""
    for kind, union in (
        ("engine", AnyEngine),
        ("runner", AnyRunner),
        ("store", AnyStore),
        ("channel", AnyChannel),
    ):
        await announce(bus, kind, union)
