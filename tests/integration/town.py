"""NATS with every user's permissions, Postgres, a real auditor: what services live among."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg

from services.auditor.line import line
from services.auditor.service import Auditor
from services.auditor.settings import Settings
from shared.bus import Bus, Delivery, Expect
from shared.bus.base import EVENTS
from shared.keys.audit import AuditKey
from shared.keys.bucket import BusKeys
from shared.keys.files import KeyFolder, ensure_keys, platform_setting
from shared.keys.reading import read_key_encryption_keys, read_order_key, read_signing_key
from shared.keys.vault import Vault, encryption_keys
from shared.keys.worker import public_half
from shared.messages.base import Message
from shared.messages.settings import ServerSetting, StoreSetting
from shared.messages.values import DatabaseRef, Endpoint
from shared.readmodel.migrations import migrate
from shared.readmodel.reader import ReadModel, read_model
from tests.support.bus import PlatformNats, platform_nats
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

PASSWORD = "canary-hunter2"
_Said = TypeVar("_Said", bound=Message)


PASSPHRASE = "canary correct horse"


class Town:
    """`gateway` and `executor` are buses with those services' permissions."""

    def __init__(
        self,
        nats: PlatformNats,
        database_url: str,
        model: ReadModel,
        keys: KeyFolder,
        *,
        gateway: Bus,
        executor: Bus,
    ) -> None:
        self.nats, self.model, self.keys = nats, model, keys
        self.database_url = database_url
        self.gateway, self.executor = gateway, executor
        self.worker_key = read_order_key(keys.order_key)
        self.kek = read_key_encryption_keys(keys.kek)[0]
        self.server_id = uuid4()

    def vault(self, bus: Bus) -> Vault:
        return Vault(BusKeys(bus), encryption_keys(self.keys.encryption_key.read_text()))

    async def furnish(self, store_root: Path) -> None:
        """A server with a sealed password, a store, and a worker that announced its key."""
        subject = f"cfg.server.{self.server_id}"
        sealing = self.vault(self.gateway)
        token = await sealing.seal(subject, "endpoints.main.password", PASSWORD)
        engine = {"kind": "postgresql", "password": {"key": token.key, "token": token.token}}
        server = ServerSetting(
            key=str(self.server_id),
            name="shop",
            runner={"kind": "local"},
            endpoints=[Endpoint(name="main", engine=engine)],
        )
        self.store_root = store_root
        store_root.mkdir()
        config = {"kind": "local", "root": str(store_root)}
        await self.gateway.append(server, expect=Expect(0))
        secret = await sealing.seal("cfg.store.main", "passphrase", PASSPHRASE)
        store = StoreSetting(key="main", name="main", store=config, passphrase=secret)
        await self.gateway.append(store)
        await self.executor.kv("keys").put("worker.core", public_half(self.worker_key).encode())

    @property
    def database(self) -> DatabaseRef:
        return DatabaseRef(server_id=self.server_id, endpoint="main", name="shop")

    async def said(self, kind: type[_Said], about: UUID) -> list[_Said]:
        """The last facts of this kind about one aggregate, as the gateway may read them."""
        noun, verb = str(kind.__struct_config__.tag).split(".")
        found = await self.gateway.last_of(f"evt.{noun}.{verb}.*.{about}")
        return [one for one in map(_message, found) if isinstance(one, kind)]

    async def heard(self, kind: type[_Said], about: UUID, *, within: float = 15.0) -> _Said:
        async def there() -> list[_Said]:
            return await self.said(kind, about)

        return (await eventually(there, within=within, what=kind.__name__))[0]

    async def last_seq(self) -> int:
        return (await self.gateway.state(EVENTS)).last_seq


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """The service at work until the block ends; a crash of it is raised."""
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
async def a_town(folder: Path, postgres: Postgres) -> AsyncIterator[Town]:
    """Bootstrapped, with the platform's identity in the log and the auditor at work."""
    name = f"town_{uuid4().hex}"
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f"CREATE DATABASE {name}")
    url = postgres.dsn(name, driver="postgresql+asyncpg")
    await migrate(url)
    keys = ensure_keys(folder / "keys")
    try:
        with platform_nats(folder / "nats") as nats:
            await nats.bootstrap()
            async with _auditor(nats, url, keys), read_model(url) as model:
                async with nats.bus("bootstrap") as first:
                    await first.append(platform_setting(keys), expect=Expect(0))
                async with nats.bus("gateway") as gateway, nats.bus("executor") as executor:
                    yield Town(nats, url, model, keys, gateway=gateway, executor=executor)
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


@asynccontextmanager
async def _auditor(nats: PlatformNats, url: str, keys: KeyFolder) -> AsyncIterator[None]:
    told = Settings(database_url=url, audit_key_file="", checkpoint_every_s=1.0)
    key = read_signing_key(keys.audit_key)
    async with (
        nats.bus("auditor") as bus,
        line(nats.settings("auditor")) as own,
        running(Auditor(bus, own, told, AuditKey.alone(key), name="one").work()),
    ):
        yield


def _message(delivery: Delivery) -> Message:
    return delivery.message
