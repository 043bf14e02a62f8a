"""NATS with every user's permissions, a real read model, the auditor's projection between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg

from services.auditor.ledger import recorded
from services.auditor.writer import Writer, connected
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.errors import UnavailableError
from shared.messages.facts import AnyFact
from shared.readmodel.migrations import migrate
from shared.readmodel.reader import ReadModel, read_model
from tests.support.bus import PlatformNats, platform_nats
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

Kind = TypeVar("Kind", bound=Any)


class World:
    """A bus to say facts on, the read model that follows, and services that come and go."""

    def __init__(self, bus: Bus, model: ReadModel, nats: PlatformNats, database: str) -> None:
        self.bus, self.model, self._nats, self.database = bus, model, nats, database

    async def all_of(self, kind: type[Kind]) -> list[Kind]:
        """Every fact of the kind, in order."""
        last_seq = (await self.bus.state(EVENTS)).last_seq
        found: list[Kind] = []
        if last_seq:
            async for delivery in self.bus.follow(EVENTS, after_seq=0):
                if isinstance(delivery.message, kind):
                    found.append(delivery.message)
                if delivery.seq >= last_seq:
                    break
        return found

    async def heard(self, kind: type[AnyFact], count: int = 1, *, within: float = 8.0) -> Any:
        """The facts of the kind, once there are `count`."""

        async def enough() -> bool:
            return len(await self.all_of(kind)) >= count

        await eventually(enough, within=within, what=f"{count} x {kind.__name__}")
        return await self.all_of(kind)

    def own_bus(self, service: str) -> AbstractAsyncContextManager[Bus]:
        """A connection with the service's own permissions."""
        return self._nats.bus(service)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """The service at work; it ends with the block, as by kill -9. A crash of it is raised."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        crashed = task.done()
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if crashed and isinstance(ended, BaseException):
            raise ended


@asynccontextmanager
async def world(folder: Path, postgres: Postgres) -> AsyncIterator[World]:
    """Everything empty, projecting until the block ends."""
    database = f"world_{uuid4().hex}"
    admin = await asyncpg.connect(postgres.dsn())
    await admin.execute(f"CREATE DATABASE {database}")
    url = postgres.dsn(database, driver="postgresql+asyncpg")
    try:
        await migrate(url)
        with platform_nats(folder / "nats") as nats:
            await nats.bootstrap()
            async with (
                nats.bus("bootstrap") as bus,
                read_model(url) as model,
                running(_project(bus, url)),
            ):
                yield World(bus, model, nats, url)
    finally:
        await admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
        await admin.close()


async def _project(bus: Bus, url: str) -> None:
    """As the auditor: on a machine that stood still for long it loses its connection, and begins
    again."""
    while True:
        with suppress(UnavailableError):
            async with connected(url) as connection:
                writer = await Writer.take_over(connection)
                async for delivery in bus.follow(EVENTS, after_seq=writer.seq):
                    await writer.write([recorded(delivery, [])])
