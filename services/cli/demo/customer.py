"""The customer's server: a PostgreSQL 16 of our own with the sample shop in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from services.cli.demo.compare import Postgres
from services.launcher.postgres import SUPERUSER, PostgresServer

SHOP = "shop"
# The sample is made anew each time, so nothing is lost when the power goes; only its server is
# spared the syncing, never the platform.
SETTINGS = {"fsync": "off", "max_wal_size": "2GB", "shared_buffers": "128MB"}


class Customer:
    """The running server, as an operator would know it."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

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
        """Make the shop; takes some seconds."""
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
    """Start the server in an empty `directory`; stop it at the end."""
    server = PostgresServer(directory, log=directory / "log", major=16, settings=SETTINGS)
    await asyncio.to_thread(server.start)
    try:
        yield Customer(server)
    finally:
        await asyncio.to_thread(server.kill9)
