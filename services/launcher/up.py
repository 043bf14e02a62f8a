"""`holdfast up`: the whole platform on one machine, until a signal stops it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from services.launcher.changes import Changes
from services.launcher.directory import DataDirectory
from services.launcher.errors import LaunchError
from services.launcher.identity import introduce
from services.launcher.installation import (
    NATS_USERS,
    SERVICES,
    Installation,
    Passwords,
    new_admin_token,
)
from services.launcher.nats_server import NatsServer
from services.launcher.ports import first_free_port, free_port, is_free
from services.launcher.postgres import PostgresServer
from services.launcher.processes import Child, keep_running, last_line
from services.launcher.roles import READER, prepare_database
from services.launcher.subscribers import Subscribers
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.bus.bootstrap import bootstrap
from shared.bus.configuration import render_config
from shared.bus.jetstream import connect
from shared.errors import PlatformError, UnavailableError, leaves
from shared.keys.files import platform_setting
from shared.keys.handing_over import whole_keys
from shared.keys.writing import replace
from shared.readmodel.migrations import migrate

READY_WITHIN_S = 180.0  # a busy machine starts ten programs at once
RELOADED_WITHIN_S = 20.0
POSTGRES_SETTINGS = {"shared_buffers": "64MB", "max_connections": "60", "max_wal_size": "512MB"}


class Platform:
    """A running platform. `children` are the processes that run now, by service name; a further
    process of the same service is `gateway-2`, and so on."""

    def __init__(self, installation: Installation, nats: NatsServer) -> None:
        self.installation = installation
        self.ready_after_s = 0.0
        self.children: dict[str, Child] = {}
        self._nats = nats
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    @property
    def url(self) -> str:
        return self.installation.url

    @property
    def first_admin_token(self) -> str | None:
        """The one-time token, while nobody has used it."""
        path = self.installation.admin_token
        return path.read_text().strip() if path.exists() else None

    def start(self, group: asyncio.TaskGroup, services: Sequence[str]) -> None:
        """Run these services, each again when it ends."""
        self._group = group
        for name in services:
            self._tasks[name] = [
                group.create_task(keep_running(_starter(self, name, process)))
                for process in self.installation.processes(name)
            ]

    async def stop(self, services: Sequence[str] | None = None) -> None:
        """Stop these services, or all, in order."""
        names = [*self._tasks] if services is None else services
        await _stop([task for name in names for task in self._tasks.pop(name)])

    @asynccontextmanager
    async def paused(self, services: Sequence[str]) -> AsyncIterator[None]:
        """Stop those of `services` that run here for the block; then wait until all is ready."""
        names = [name for name in services if name in self._tasks]
        await self.stop(names)
        try:
            yield
        finally:
            self.start(self._group, names)
        await _ready(self)

    async def configure_nats(self) -> None:
        """Give nats-server the users and passwords of the key folder as it is now."""
        await asyncio.to_thread(write_nats_config, self.installation, self._nats.port)
        assert self._nats.child is not None
        self._nats.child.send(signal.SIGHUP)
        async with connect(self.installation.bus_settings(), source="launcher", gate=False) as bus:
            await _answers(bus)  # the new password works, so the server has read it


@asynccontextmanager
async def running(
    home: DataDirectory, *, services: Sequence[str] = SERVICES
) -> AsyncIterator[Platform]:
    """Start everything, in order; stop everything at the end, in reverse.

    `services` are those that run here; what is left out, such as the executor, runs elsewhere.
    Raises LaunchError (with the log's path) when a part does not become ready. What crashes later
    is started again with a growing delay.
    """
    began = time.monotonic()
    with home.locked():
        installation = Installation(home, whole_keys(home.keys), Passwords(home.keys))
        installation.passwords.ensure()
        async with asyncio.TaskGroup() as group:
            nats, servers = await _start_servers(installation, group)
            await _prepare(installation)
            await _guard(installation)
            platform = Platform(installation, nats)
            platform.start(group, services)
            changing: list[asyncio.Task[None]] = []
            try:
                await _ready(platform)
                platform.ready_after_s = time.monotonic() - began
                changing.append(group.create_task(Changes(platform).work()))
                yield platform
            finally:
                await _stop(changing)
                await platform.stop()
                await _stop(servers)


@asynccontextmanager
async def servers_alone(installation: Installation) -> AsyncIterator[None]:
    """NATS and PostgreSQL without any service, for the block."""
    async with asyncio.TaskGroup() as group:
        _, servers = await _start_servers(installation, group)
        try:
            yield
        finally:
            await _stop(servers)


async def _start_servers(
    installation: Installation, group: asyncio.TaskGroup
) -> tuple[NatsServer, list[asyncio.Task[None]]]:
    """PostgreSQL and NATS, both at once; each is started again when it ends."""
    home = installation.home
    postgres = PostgresServer(home.postgres, log=home.log("postgres"), settings=POSTGRES_SETTINGS)
    await asyncio.to_thread(postgres.create)
    nats = _nats(installation)
    tasks = [
        group.create_task(keep_running(postgres.launch)),
        group.create_task(keep_running(nats.launch)),
    ]
    await _until(lambda: asyncio.to_thread(postgres.ready), "postgres", home)
    await _until(lambda: asyncio.to_thread(nats.greets), "nats-server", home)
    read = installation.passwords.read
    await asyncio.to_thread(
        prepare_database, postgres, writer=read("postgres-writer"), reader=read("postgres-reader")
    )
    installation.write_database_urls(postgres.port)
    return nats, tasks


def _nats(installation: Installation) -> NatsServer:
    home = installation.home
    port = _kept_port(home.state / "nats_port", free_port)
    installation.nats_url = f"nats://127.0.0.1:{port}"
    installation.gateway_port = _kept_port(home.state / "gateway_port", first_free_port)
    config = write_nats_config(installation, port)
    return NatsServer(config, port=port, log=home.log("nats-server"))


def write_nats_config(installation: Installation, port: int) -> Path:
    """The server's configuration for the users that the key folder knows now."""
    home, subscribers = installation.home, Subscribers(installation.keys).all()
    text = render_config(
        port=port,
        store_dir=home.nats / "store",
        passwords={user: installation.passwords.read(f"nats-{user}") for user in NATS_USERS},
        subscribers={name: one.password for name, one in subscribers.items()},
    )
    config = home.nats / "server.conf"
    replace(config, text.encode())
    return config


def _kept_port(path: Path, choose: Callable[[], int]) -> int:
    """The port of last time while it is free, else a new one."""
    if path.exists() and is_free(port := int(path.read_text())):
        return port
    port = choose()
    path.write_text(str(port))
    return port


async def _answers(bus: Bus) -> None:
    """Wait for JetStream, which is nobody's for a moment while nats-server reads anew."""
    until = time.monotonic() + RELOADED_WITHIN_S
    while True:
        try:
            await bus.state(EVENTS)
        except UnavailableError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.1)
        else:
            return


async def _prepare(installation: Installation) -> None:
    """Streams, buckets and tables; on the first start also the identity and the admin's token."""
    await migrate(installation.database_url("writer").read_text(), reader=READER)
    settings = installation.bus_settings()
    await bootstrap(settings)
    async with connect(settings, source="launcher", gate=False) as bus:
        identity = platform_setting(installation.keys)
        if not await bus.last_of(identity.subject):
            make_admin_token(installation.admin_token)
        await introduce(bus, identity)


async def _guard(installation: Installation) -> None:
    """Compare the log with its copy before anything may write."""
    command = installation.command("auditor")
    checking = await asyncio.create_subprocess_exec(
        *command.argv,
        "guard",
        env=command.environment,
        cwd=command.directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await checking.communicate()
    if checking.returncode != 0:
        raise LaunchError(
            f"the event log is damaged: {(said or complained).decode().strip()}",
            fix="run `holdfast repair`: it restores the log from its copy, nothing is lost",
        )


def _starter(platform: Platform, name: str, process: str) -> Callable[[], Child]:
    def start() -> Child:
        platform.children[process] = Child(platform.installation.command(name, process))
        return platform.children[process]

    return start


async def _ready(platform: Platform) -> None:
    async with aiohttp.ClientSession() as session:

        async def answers() -> bool:
            try:
                async with session.get(f"{platform.url}/readyz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await _until(answers, "gateway", platform.installation.home)


async def _until(check: Callable[[], Awaitable[bool]], name: str, home: DataDirectory) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not await check():
        if time.monotonic() > deadline:
            raise LaunchError(f"{name} did not become ready: {last_line(home.log(name))}")
        await asyncio.sleep(0.05)


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def make_admin_token(path: Path) -> None:
    """Write the one-time token of the first administrator, 0600."""
    path.touch(mode=0o600)
    path.write_text(new_admin_token())


def run_up(home: DataDirectory) -> int:
    """`holdfast up`: run until SIGINT or SIGTERM; the exit status."""
    status = 0
    try:
        asyncio.run(_up(home))
    except* PlatformError as errors:
        for error in leaves(errors):
            print(f"holdfast: {error}", file=sys.stderr)
        status = 1
    return status


async def _up(home: DataDirectory) -> None:
    stopping = stop_signal()
    async with running(home) as platform:
        print(f"Holdfast is ready after {platform.ready_after_s:.1f} s: {platform.url}")
        if token := platform.first_admin_token:
            print(f"The one-time token of the first administrator: {token}")
            print(f"Begin at {platform.url}/setup#token={token}")
        print("Ctrl-C stops it.", flush=True)
        await stopping.wait()


def stop_signal() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; the second one of SIGINT interrupts as usual."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return stopping
