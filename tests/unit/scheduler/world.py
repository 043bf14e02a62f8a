"""A platform in memory around one scheduler: settings, secrets, a worker's key, two clocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from cryptography.fernet import Fernet

from services.scheduler.clock import Clock
from services.scheduler.dispatch import Dispatcher
from services.scheduler.orders import Orders
from services.scheduler.service import Scheduler
from shared.archive.keys import RecipientKey
from shared.bus import Delivery, Expect
from shared.bus.base import COMMANDS, EVENTS
from shared.bus.memory import MemoryBus
from shared.keys.bucket import BusKeys
from shared.keys.files import ensure_keys, platform_setting
from shared.keys.reading import read_key_encryption_keys, read_order_key
from shared.keys.vault import Vault
from shared.keys.worker import public_half
from shared.messages.base import Fact, Message, now
from shared.messages.facts import (
    BackupAttempted,
    BackupCompleted,
    BackupRequested,
    RestoreRequested,
    ServerTestRequested,
)
from shared.messages.settings import ServerSetting, StoreSetting
from shared.messages.values import DatabaseRef, Endpoint
from shared.stores.marker import marker_key
from tests.support.archives import archive_facts
from tests.support.waiting import eventually
from tests.unit.scheduler.log_state import LogState

_Said = TypeVar("_Said", bound=Message)
_Fact = TypeVar("_Fact", bound=Fact)
PASSWORD = "canary-hunter2"
FACTS = archive_facts()


class ManualClock(Clock):
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self._now, self._s = now(), 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._s

    def pass_s(self, seconds: float) -> None:
        self._s += seconds
        self._now += timedelta(seconds=seconds)


class World:
    """One scheduler, looked through by hand: `look()` returns when all it began is done."""

    def __init__(self, folder: Path) -> None:
        keys = ensure_keys(folder / "keys")
        self.bus = MemoryBus()
        self.clock = ManualClock()
        self.vault = Vault(BusKeys(self.bus), [Fernet.generate_key().decode()])
        self.kek: RecipientKey = read_key_encryption_keys(keys.kek)[0]
        self.worker_key = read_order_key(keys.order_key)
        self.platform = platform_setting(keys)
        self.state = LogState(self.bus, self.platform)
        self.server_id = uuid4()
        self.scheduler = self.another_scheduler()
        self.dispatcher = Dispatcher(self.bus, self.state, self._orders(), self.clock)

    def another_scheduler(self, *, pool_limit: int = 4) -> Scheduler:
        return Scheduler(
            self.bus, self.state, self._orders(), pool_limit=pool_limit, clock=self.clock
        )

    def _orders(self) -> Orders:
        return Orders(self.bus, self.state, self.vault, (self.kek,), allow_loopback=True)

    async def furnish(self, store_root: Path) -> None:
        """A server with a sealed password, a store, and a worker that announced its key."""
        await self.add_server(self.server_id)
        store_root.mkdir()
        self.state.stores["main"] = StoreSetting(
            key="main", name="main", store={"kind": "local", "root": str(store_root)}
        )
        await self.announce_worker()

    async def announce_worker(self) -> None:
        await self.bus.kv("keys").put("worker.core", public_half(self.worker_key).encode())

    async def add_server(self, server_id: UUID, *, run_limit: int = 2) -> None:
        subject = f"cfg.server.{server_id}"
        token = await self.vault.seal(subject, "endpoints.main.password", PASSWORD)
        engine = {"kind": "postgresql", "password": {"key": token.key, "token": token.token}}
        self.state.servers[server_id] = ServerSetting(
            key=str(server_id),
            name="shop",
            runner={"kind": "local"},
            endpoints=[Endpoint(name="main", engine=engine)],
            run_limit=run_limit,
        )

    def database(self, server_id: UUID | None = None, endpoint: str = "main") -> DatabaseRef:
        return DatabaseRef(server_id=server_id or self.server_id, endpoint=endpoint, name="shop")

    async def request_backup(self, **values: Any) -> BackupRequested:
        fields = {"database": self.database(), "store_id": "main", "run_pool": "core"} | values
        return await self.say(BackupRequested(backup_id=uuid4(), run_id=uuid4(), **fields))

    async def request_restore(self, backup_id: UUID) -> RestoreRequested:
        fact = RestoreRequested(
            restore_id=uuid4(),
            run_id=uuid4(),
            backup_id=backup_id,
            target=self.database(),
            run_pool="core",
        )
        return await self.say(fact)

    async def request_test(self, server_id: UUID | None = None) -> ServerTestRequested:
        fact = ServerTestRequested(
            server_id=server_id or self.server_id, run_id=uuid4(), run_pool="core"
        )
        return await self.say(fact)

    async def say(self, fact: _Fact) -> _Fact:
        await self.bus.append(fact)
        return fact

    async def look(self, scheduler: Scheduler | None = None) -> float:
        async with asyncio.TaskGroup() as group:
            return await (scheduler or self.scheduler).look(group)

    async def is_led_by(self, replica: str) -> bool:
        entry = await self.bus.kv("leases").get("scheduler")
        return entry is not None and entry.value == replica.encode()

    def said(self, kind: type[_Said]) -> list[_Said]:
        return [one for one in map(_message, self.deliveries(EVENTS)) if isinstance(one, kind)]

    def orders(self, kind: type[_Said]) -> list[_Said]:
        return [one for one in map(_message, self.deliveries(COMMANDS)) if isinstance(one, kind)]

    def deliveries(self, stream: str) -> list[Delivery]:
        return self.bus.server.stream(stream).messages


def _message(delivery: Delivery) -> Message:
    return delivery.message


def written(world: World) -> bytes:
    """Every byte that the scheduler said to anybody."""
    return b"".join(
        delivery.data for name in (EVENTS, COMMANDS) for delivery in world.deliveries(name)
    )


def mark(root: Path, store_id: str) -> None:
    """As storage does, so that the store is known again."""
    marker = root / marker_key(store_id)
    marker.parent.mkdir()
    marker.touch()


async def attempt(world: World, backup_id: UUID, run_id: UUID) -> int:
    """A worker begins the backup; returns the sequence of its attempt."""
    last = (await world.bus.last_of(f"evt.backup.*.core.{backup_id}"))[-1]
    fact = BackupAttempted(
        backup_id=backup_id,
        run_id=run_id,
        attempt=1,
        worker="executor",
        store_id="main",
        prefix=f"{backup_id}/1",
    )
    expect = Expect(last.seq, f"evt.backup.*.core.{backup_id}")
    return (await world.bus.append(fact, expect=expect)).seq


async def complete(
    world: World, backup_id: UUID, run_id: UUID, *, began: int | None = None
) -> None:
    """The worker completes what it `began`, as the fence allows."""
    began = await attempt(world, backup_id, run_id) if began is None else began
    fact = BackupCompleted(
        backup_id=backup_id,
        run_id=run_id,
        attempt=1,
        prefix=f"{backup_id}/1",
        started_at=now(),
        seconds=1.0,
        archive=FACTS,
    )
    await world.bus.append(fact, expect=Expect(began, f"evt.backup.attempted.*.{backup_id}"))


@asynccontextmanager
async def running(
    world: World, scheduler: Scheduler | None = None, replica: str = "active"
) -> AsyncIterator[None]:
    """The scheduler as a process runs it, once it holds the lease, until the block ends."""
    listening = asyncio.create_task((scheduler or world.scheduler).listen(replica))
    try:
        await eventually(partial(world.is_led_by, replica))
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
