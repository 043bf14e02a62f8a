"""One platform per test, and one gateway of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest

from services.gateway.__main__ import listen
from services.launcher.ports import free_port
from shared.bus.memory import MemoryBus, MemoryServer
from shared.readmodel.migrations import migrate
from tests.integration.gateway.platform import Gateway, Platform, announce_all, settings_for
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

TEMPLATE = "gateway_template"


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """The name of a migrated database that nobody uses: copying it is quicker than migrating."""

    async def make() -> None:
        connection = await asyncpg.connect(postgres.dsn())
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
        await connection.close()
        await migrate(postgres.dsn(TEMPLATE, driver="postgresql+asyncpg"))

    asyncio.run(make())
    return TEMPLATE


@pytest.fixture
async def database(postgres: Postgres, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database of this test."""
    name = f"gateway_{uuid4().hex}"
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres.dsn(name, driver="postgresql+asyncpg")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def platform(database: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """Bus, projection and settings; no gateway yet."""
    server = MemoryServer()
    bus = MemoryBus(server)
    await announce_all(bus)
    made = Platform(server, settings_for(database, tmp_path), bus)
    projecting = asyncio.create_task(made.project())
    yield made
    projecting.cancel()
    with suppress(asyncio.CancelledError):
        await projecting


@pytest.fixture
async def gateway(platform: Platform) -> AsyncIterator[Gateway]:
    """A gateway with its first administrator signed in."""
    async with platform.gateway() as running:
        await running.set_up()

        async def visible() -> bool:
            return (await running.call("GET", "/auth/me")).is_success

        await eventually(visible)  # on a slow machine the projection may be seconds behind
        yield running


@pytest.fixture
async def url(gateway: Gateway) -> AsyncIterator[str]:
    """Where granian serves the gateway."""
    port = free_port()
    deps = msgspec.structs.replace(
        gateway.deps, settings=msgspec.structs.replace(gateway.deps.settings, gateway_port=port)
    )
    serving = asyncio.create_task(listen(deps))
    address = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient() as client:

        async def lives() -> dict[str, str]:
            with suppress(httpx.TransportError):
                answer: dict[str, str] = (await client.get(f"{address}/healthz")).json()
                return answer
            return {}

        said: dict[str, str] = await eventually(lives)
        assert said == {"status": "ok"}
    yield address
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(serving, 10)
