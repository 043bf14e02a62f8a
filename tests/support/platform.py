"""A whole platform of a test, started as `holdfast up` does, with a customer's PostgreSQL 16."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.cli.demo.api import Api, first_admin
from services.cli.demo.compare import Content, content_of, differences
from services.cli.demo.customer import Customer, customer
from services.launcher.directory import DataDirectory
from services.launcher.installation import SERVICES
from services.launcher.ports import free_port
from services.launcher.up import Platform, running
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.bus.jetstream import connect
from tests.support.waiting import eventually

ALL_AT_ONCE = 32
ADMIN = "admin@example.com"


class Installed:
    """A running platform, its first administrator's client, and a customer's server."""

    def __init__(self, platform: Platform, source: Customer, api: Api, folder: Path) -> None:
        self.platform, self.customer, self.api, self.folder = platform, source, api, folder
        self.password = self.authorization = ""

    @property
    def home(self) -> DataDirectory:
        return self.platform.installation.home

    async def load(self, name: str, script: str) -> None:
        """Make a database of the customer's with the content of an SQL script."""
        quoted = name.replace('"', '""')
        await self._execute("postgres", f'CREATE DATABASE "{quoted}" TEMPLATE template0')
        await self._execute(name, script)

    async def change(self, name: str, script: str) -> None:
        """Run an SQL script in a database of the customer's."""
        await self._execute(name, script)

    async def _execute(self, database: str, script: str) -> None:
        connection = await self.customer.database(database).connect()
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    async def server(self, name: str = "customer", **engine: Any) -> str:
        """Register the customer's server; `engine` replaces settings. Returns its id."""
        known = self.customer.database("postgres")
        settings = {
            "kind": "postgresql",
            "host": known.host,
            "port": known.port,
            "user": known.user,
            "password": known.password,
            "tls": "off",
        }
        body = {
            "name": name,
            "runner": {"kind": "local"},
            "endpoints": [{"name": "main", "engine": settings | engine}],
            "run_limit": ALL_AT_ONCE,
        }
        return str((await self.api.post("/servers", body))["id"])

    async def store(self, name: str, store: dict[str, Any]) -> str:
        """Register a store; returns its id."""
        return str((await self.api.post("/stores", {"name": name, "store": store}))["id"])

    async def local_store(self, name: str) -> tuple[str, Path]:
        """Register a store in a new folder; its id and the folder."""
        root = self.folder / name
        root.mkdir(mode=0o700)
        return await self.store(name, {"kind": "local", "root": str(root)}), root

    async def request_backup(self, server: str, database: str, store: str) -> dict[str, Any]:
        """Ask for a backup; what the platform answered."""
        place = {"server_id": server, "endpoint": "main", "name": database}
        return await self.api.post("/backups", {"database": place, "store_id": store})

    async def ended(self, run_id: str, *, within_s: float = 60.0) -> dict[str, Any]:
        """A run once it has ended, however it did."""

        async def run() -> dict[str, Any]:
            found = await self.api.get(f"/runs/{run_id}")
            return found if found["status"] in {"completed", "failed", "cancelled"} else {}

        return await eventually(run, within=within_s, what=f"the run {run_id} ends")

    async def restore(self, backup_id: str, server: str, target: str) -> None:
        """Restore into the new database `target`; raises CallRefusedError when that fails."""
        place = {"server_id": server, "endpoint": "main", "name": target}
        body = {"target": place, "reason": "a test"}
        asked = await self.api.post(f"/backups/{backup_id}/restore", body)
        await self.api.ended(asked["run_id"])

    async def restored_differences(
        self, backup_id: str, server: str, expected: Content
    ) -> list[str]:
        """Restore into a database that is dropped again; what in it is not as expected."""
        target = f"again_{secrets.token_hex(4)}"
        await self.restore(backup_id, server, target)
        found = differences(expected, await content_of(self.customer.database(target)))
        await self._execute("postgres", f"DROP DATABASE {target} WITH (FORCE)")
        return found

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """The bus with every right, which no service has."""
        settings = self.platform.installation.bus_settings()
        async with connect(settings, source="test", gate=False) as bus:
            yield bus

    async def messages(self, stream: str = EVENTS) -> list[Delivery]:
        """Everything in a stream."""
        async with self.bus() as bus:
            state = await bus.state(stream)
            found: list[Delivery] = []
            if state.messages:
                async for delivery in bus.follow(stream, after_seq=0):
                    found.append(delivery)
                    if delivery.seq >= state.last_seq:
                        break
            return found

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What the platform's own database answers to its reader, once it answers again."""
        url = self.platform.installation.database_url("reader").read_text()

        async def connect() -> asyncpg.Connection | None:
            with suppress(OSError, asyncpg.CannotConnectNowError):
                return await asyncpg.connect(url.replace("+asyncpg", ""))
            return None

        connection = await eventually(connect, within=30, what="Postgres lets a reader in")
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    def pid(self, server: str) -> int | None:
        """The process that runs now as `nats-server` or `postgres` of this platform."""
        if server == "postgres":
            file = self.home.postgres / "data" / "postmaster.pid"
            number = int(file.read_text().split()[0]) if file.exists() else 0
            return number if number and Path("/proc", str(number)).exists() else None
        config = str(self.home.nats / "server.conf").encode()
        return next((pid for pid in own_children() if config in command_line(pid)), None)


def own_children() -> list[int]:
    """The processes that this one has started and that still run."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def command_line(pid: int) -> bytes:
    """The arguments of a process; empty once it is gone."""
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return b""


@asynccontextmanager
async def installed(
    folder: Path,
    *,
    services: Sequence[str] = SERVICES,
    settings: Mapping[str, str] | None = None,
    password: str = "",
) -> AsyncIterator[Installed]:
    """A platform in `folder` with its first administrator; nothing of it is left afterwards.

    `settings` are an operator's environment, such as `SCHEDULER_POOL_LIMIT`.
    """
    password = password or secrets.token_urlsafe(12)
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        own = {"EXECUTOR_WORK_FOLDER": str(folder / "work"), **(settings or {})}
        for name, value in own.items():
            patch.setenv(name, value)
        home = DataDirectory(folder / "home")
        choose_port(home)
        source = await stack.enter_async_context(customer(folder / "customer"))
        await source.started()
        platform = await stack.enter_async_context(held(home, services))
        token = platform.first_admin_token
        assert token is not None, "a fresh platform has a one-time token"
        api = await stack.enter_async_context(first_admin(platform.url, token, password))
        house = Installed(platform, source, api, folder)
        house.password = password
        signed_in = await api.post("/auth/login", {"email": ADMIN, "password": password})
        house.authorization = f"Bearer {signed_in['access_token']}"
        yield house


@asynccontextmanager
async def held(home: DataDirectory, services: Sequence[str] = SERVICES) -> AsyncIterator[Platform]:
    """`running`, entered and left by one task, whichever task a fixture's ends are."""
    started: asyncio.Future[Platform] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def hold() -> None:
        async with running(home, services=services) as platform:
            started.set_result(platform)
            await leave.wait()

    holding = asyncio.create_task(hold())
    try:
        starting = asyncio.ensure_future(started)
        await asyncio.wait({holding, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            await holding
        yield await started
    finally:
        leave.set()
        await asyncio.wait({holding})
    await holding


def choose_port(home: DataDirectory) -> None:
    """Platforms that start at the same moment must not choose the same default port."""
    with home.locked():
        port = home.state / "gateway_port"
        if not port.exists():
            port.write_text(str(free_port()))


def environment_of(pid: int) -> bytes:
    """The environment of a process; empty once it is gone."""
    try:
        return Path("/proc", str(pid), "environ").read_bytes()
    except OSError:
        return b""


def every_process() -> list[int]:
    """All processes of this machine but this one."""
    numbers = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [number for number in numbers if number != os.getpid()]
