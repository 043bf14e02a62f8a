"""One platform per test, and one gateway of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from shared.bus.memory import MemoryBus, MemoryServer
from shared.readmodel.migrations import migrate
from tests.integration.gateway.platform import Gateway, Platform, announce_all, settings_for
from tests.support.postgres import Postgres

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
        yield running
