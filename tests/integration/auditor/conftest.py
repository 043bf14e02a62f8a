"""A migrated database of its own for every test, and events to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from shared.readmodel.migrations import migrate
from tests.integration.auditor.house import House, a_house
from tests.support.nats import Nats
from tests.support.postgres import Postgres


@pytest.fixture
async def empty_database(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of a database without a table."""
    name = f"auditor_{uuid4().hex}"
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgres.dsn(name, driver="postgresql+asyncpg")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def database(empty_database: str) -> str:
    """The URL of a database with the tables of this version."""
    await migrate(empty_database)
    return empty_database


@pytest.fixture
async def house(nats: Nats, database: str) -> AsyncIterator[House]:
    """NATS with our streams, Postgres with our tables; a test lets auditors in."""
    async with a_house(nats, database) as made:
        yield made
