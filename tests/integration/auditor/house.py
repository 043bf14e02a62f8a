"""A small house: NATS, Postgres, an auditor in this process, and what a test does with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from services.auditor.line import line
from services.auditor.service import Auditor
from services.auditor.settings import Settings
from services.auditor.writer import connected
from shared.archive.keys import SigningKey
from shared.bus import Bus
from shared.bus.bootstrap import bootstrap
from shared.bus.connection import BusSettings
from shared.bus.gate import Guarded
from shared.bus.jetstream import connect
from shared.errors import PlatformError
from shared.keys.audit import AuditKey
from tests.support.nats import Nats
from tests.support.waiting import eventually

KEY = SigningKey(bytes(range(32)))


class House:
    """`bus` is past the gate; `gated()` is not."""

    def __init__(self, nats: Nats, database: str, bus: Bus) -> None:
        self.nats, self.database, self.bus = nats, database, bus
        self.bus_settings = BusSettings(nats_url=nats.url)

    @asynccontextmanager
    async def auditor(
        self,
        name: str = "one",
        key: SigningKey | AuditKey = KEY,
        *,
        restarted: bool = False,
        **settings: float,
    ) -> AsyncIterator[asyncio.Task[None]]:
        """An auditor, active or standing by, until the end of the block.

        `restarted`: started again when it ends, as the launcher does.
        """
        told = Settings(
            database_url=self.database, audit_key_file="", **{"checkpoint_every_s": 1.0} | settings
        )
        async with (
            connect(self.bus_settings, source="auditor", gate=False) as bus,
            line(self.bus_settings) as own,
        ):
            held = key if isinstance(key, AuditKey) else AuditKey.alone(key)
            auditor = Auditor(bus, own, told, held, name=name)
            working = asyncio.create_task(_restarted(auditor) if restarted else auditor.work())
            try:
                yield working
            finally:
                working.cancel()
                with suppress(asyncio.CancelledError, PlatformError, ExceptionGroup):
                    await working

    async def verdict(self) -> Guarded:
        try:
            answer = await self.bus.ask("ask.auditor.guard", timeout_s=1.0)
        except PlatformError as error:
            return Guarded(ok=False, cause=error.cause)
        return msgspec.json.decode(answer, type=Guarded)

    async def trusted(self, within: float = 15.0) -> None:
        async def ok() -> bool:
            return (await self.verdict()).ok

        await eventually(ok, within=within, what="the guard says ok")

    async def alarmed(self, within: float = 20.0) -> str:
        async def cause() -> str:
            verdict = await self.verdict()
            return verdict.cause if "event" in verdict.cause and not verdict.ok else ""

        return await eventually(cause, within=within, what="the guard says what is damaged")

    async def projected(self, seq: int, within: float = 15.0) -> None:
        async def there() -> bool:
            return await self.position() >= seq

        await eventually(there, within=within, what=f"event {seq} is projected")

    async def position(self) -> int:
        return int(await self.ask_postgres("SELECT coalesce(max(seq), 0) FROM event_log") or 0)

    async def ask_postgres(self, query: str, *values: object) -> object:
        async with connected(self.database) as connection:
            return await connection.fetchval(query, *values)


@asynccontextmanager
async def a_house(nats: Nats, database: str) -> AsyncIterator[House]:
    """Streams and buckets made, nobody at home yet."""
    settings = BusSettings(nats_url=nats.url)
    await bootstrap(settings)
    async with connect(settings, source="test", gate=False) as bus:
        yield House(nats, database, bus)


async def _restarted(auditor: Auditor) -> None:
    while True:
        try:
            await auditor.work()
        except* PlatformError:
            await asyncio.sleep(0.2)
