"""A Redis for one restore test: started on the loopback address, in memory, and gone at the end."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from services.executor.engines.base import EngineError, ToolFailedError, ToolMissingError
from services.executor.engines.redis.wire import Login, connected
from services.executor.runners.base import Bytes, Exit, Session

HOST = "127.0.0.1"
_READY_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.1
_PROGRAMS = ("valkey-server", "redis-server")


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """How the instance is reached."""

    port: int
    password: str
    host: str = HOST
    user: str = ""
    tls: str = "off"
    ca_certificate: str = ""

    def __repr__(self) -> str:
        return f"Instance(port={self.port})"


@asynccontextmanager
async def instance(at: Session) -> AsyncIterator[Instance]:
    """Empty; what is newer than it knows is refused by the restore itself."""
    found = [path for name in _PROGRAMS for path in await at.which(name)]
    if not found:
        raise ToolMissingError(
            "no Redis is installed on the executor's machine",
            fix="install the package redis-server there",
        )
    made = Instance(port=_free_port(), password=secrets.token_hex(24))
    # By its standard input: an argument could be read by everybody.
    async with at.start([found[0], "-"], stdin=_configuration(made)) as process:
        ended = asyncio.ensure_future(process.exited())
        try:
            await _ready(made, at, ended)
            yield made
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)


async def _configuration(made: Instance) -> Bytes:
    yield (
        f"port {made.port}\nbind {HOST}\nrequirepass {made.password}\n"
        'save ""\nappendonly no\ndatabases 1024\n'
        "logfile redis.log\n"
    ).encode()


async def _ready(made: Login, at: Session, ended: asyncio.Future[Exit]) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + _READY_WITHIN_S
    while True:
        try:
            async with connected(made, at):
                return
        except EngineError as error:
            if ended.done() or loop.time() > until:
                raise ToolFailedError("the throw-away Redis did not start") from error
            await asyncio.sleep(_LOOK_EVERY_S)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
    return port
