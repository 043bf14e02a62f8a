"""The customer's server: a PostgreSQL 16 of our own with the sample shop in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from services.cli.demo.compare import Postgres
from services.launcher.postgres import SUPERUSER, PostgresServer, StopMode

SHOP = "shop"
# The sample is made anew each time, so nothing is lost when the power goes; only its server is
# spared the syncing, never the platform.
SETTINGS = {"fsync": "off", "max_wal_size": "2GB", "shared_buffers": "128MB"}


class Customer:
    """The running server, as an operator would know it."""

    def __init__(self, server: PostgresServer, starting: asyncio.Task[None]) -> None:
        self.server, self._starting = server, starting

    async def started(self) -> None:
        """Wait until it takes connections; raises LaunchError."""
        await asyncio.shield(self._starting)

    def database(self, name: str) -> Postgres:
        """How to reach a database on it."""
        return Postgres(
            port=self.server.port,
            user=SUPERUSER,
            password=self.server.password,
            database=name,
            tools=self.server.bin,
        )

    async def load_shop(self) -> None:
        """Make the shop once the server has started; takes some seconds."""
        await self.started()
        connection = await self.database("postgres").connect()
        try:
            await connection.execute(f"CREATE DATABASE {SHOP}")
        finally:
            await connection.close()
        shop = await self.database(SHOP).connect()
        try:
            await shop.execute(files(__package__).joinpath("shop.sql").read_text())
        finally:
            await shop.close()


@asynccontextmanager
async def customer(directory: Path) -> AsyncIterator[Customer]:
    """Begin to start the server in an empty `directory`; stop it at the end."""
    server = PostgresServer(directory, log=directory / "log", major=16, settings=SETTINGS)
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    try:
        yield Customer(server, starting)
    finally:
        await asyncio.wait({starting})
        await asyncio.to_thread(server.stop, StopMode.IMMEDIATE)
