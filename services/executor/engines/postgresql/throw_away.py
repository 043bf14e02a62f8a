"""A PostgreSQL for one restore test: made, started on the loopback address, and gone at the end."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from services.executor.engines.base import RequirementMissingError, ToolFailedError
from services.executor.engines.postgresql.tools import find
from services.executor.runners.base import Process, RunnerError, Session, output_of

HOST, USER = "127.0.0.1", "postgres"
_READY_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1
_NOBODY = 65534

# It lives for one restore and is compared at once: nothing of it needs to survive a crash.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "2GB",
    "max_connections": "20",
}


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """How the instance is reached, by its superuser."""

    port: int
    password: str

    def __repr__(self) -> str:
        return f"Instance(port={self.port})"


@asynccontextmanager
async def instance(at: Session, server_version: str) -> AsyncIterator[Instance]:
    """Empty, of the same major version, with a password that nobody else knows."""
    major = int(server_version.split(".", 1)[0])
    server = await find(at, "postgres", major, tls=False)
    maker = await find(at, "initdb", major, tls=False)
    made = Instance(port=_free_port(), password=secrets.token_urlsafe(24))
    secret = await at.write_file("superuser", made.password.encode() + b"\n")
    data = Path(secret).parent / "data"
    try:
        await output_of(
            at,
            [
                *(*_unprivileged(), maker.path, "--pgdata", str(data), "--username", USER),
                *("--auth", "scram-sha-256", "--pwfile", secret, "--encoding", "UTF8"),
                *("--locale", "C.UTF-8", "--no-sync"),
            ],
        )
    except RunnerError as error:
        raise RequirementMissingError(
            "no PostgreSQL can be made on the executor's machine",
            fix="as root, allow user namespaces, or run the executor as an ordinary user",
        ) from error
    settings = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": made.port}.items()]
    argv = [*_unprivileged(), server.path, "-D", str(data), *settings]
    async with at.start(argv) as process:
        await _ready(process, data)
        yield made


async def _ready(process: Process, data: Path) -> None:
    """Wait until it takes connections."""
    ended = asyncio.ensure_future(process.exited())
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            while not await asyncio.to_thread(_is_ready, data):
                if ended.done():
                    raise ToolFailedError("the throw-away PostgreSQL did not start")
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        raise ToolFailedError("the throw-away PostgreSQL did not start in time") from None
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)


def _is_ready(data: Path) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _unprivileged() -> Sequence[str]:
    """PostgreSQL refuses root: inside a user namespace we are nobody, and our folder stays ours."""
    if os.geteuid() != 0:
        return ()
    return ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", "--")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
    return port
