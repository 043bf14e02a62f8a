"""A PostgreSQL for one restore test: made, started in a sandbox, and gone at the end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from services.executor.engines.base import RequirementMissingError, ToolFailedError
from services.executor.engines.postgresql.tools import find
from services.executor.engines.sandbox import Sandbox, sandbox
from services.executor.runners.base import OnLine, Process, RunnerError, Session, output_of

USER = "postgres"
_PORT = 5432  # a part of the socket's name
_READY_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1

# It lives for one restore and is compared at once: nothing of it needs to survive a crash.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "2GB",
    "max_connections": "20",
}


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """How the instance is reached, by its superuser."""

    host: str
    password: str
    port: int = _PORT

    def __repr__(self) -> str:
        return f"Instance(host={self.host!r})"


@asynccontextmanager
async def instance(
    at: Session, server_version: str, on_line: OnLine | None = None
) -> AsyncIterator[Instance]:
    """Empty, of the same major version, with a password that nobody else knows."""
    major = int(server_version.split(".", 1)[0])
    server = await find(at, "postgres", major, tls=False)
    maker = await find(at, "initdb", major, tls=False)
    async with sandbox(at, server.path, on_line=on_line) as box:
        made = Instance(host=box.address, password=secrets.token_urlsafe(24))
        await _make(at, box, maker.path, made.password)
        settings = {**_SETTINGS, "unix_socket_directories": box.inside, "port": made.port}
        given = [f"--{name}={value}" for name, value in settings.items()]
        async with at.start(box.argv(server.path, "-D", f"{box.inside}/data", *given)) as process:
            await _ready(process, box.folder / "data")
            yield made


async def _make(at: Session, box: Sandbox, maker: str, password: str) -> None:
    secret = box.write("superuser", password.encode() + b"\n")
    argv = [
        *(maker, "--pgdata", f"{box.inside}/data", "--username", USER),
        *("--auth", "scram-sha-256", "--pwfile", secret, "--encoding", "UTF8"),
        *("--locale", "C.UTF-8", "--no-sync"),
    ]
    try:
        await output_of(at, box.argv(*argv))
    except RunnerError as error:
        raise RequirementMissingError(
            "no PostgreSQL can be made on the executor's machine",
            fix="as root, let `setpriv` change the user, or run the executor as an ordinary user",
        ) from error


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
