"""A Redis for one restore test: started in a sandbox, in memory, and gone at the end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from services.executor.engines.base import EngineError, ToolFailedError, ToolMissingError
from services.executor.engines.login import Login
from services.executor.engines.redis.wire import connected
from services.executor.engines.sandbox import sandbox
from services.executor.runners.base import Bytes, Exit, OnLine, Session

_READY_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.1
_SOCKET = "redis.sock"
_PROGRAMS = ("valkey-server", "redis-server")


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """How the instance is reached."""

    host: str
    password: str
    port: int = 0
    user: str = ""
    tls: str = "off"
    ca_certificate: str = ""

    def __repr__(self) -> str:
        return f"Instance(host={self.host!r})"


@asynccontextmanager
async def instance(at: Session, on_line: OnLine | None = None) -> AsyncIterator[Instance]:
    """Empty; what is newer than it knows is refused by the restore itself."""
    found = [path for name in _PROGRAMS for path in await at.which(name)]
    if not found:
        raise ToolMissingError(
            "no Redis is installed on the executor's machine",
            fix="install the package redis-server there",
        )
    async with sandbox(at, found[0], on_line=on_line) as box:
        made = Instance(host=f"{box.address}/{_SOCKET}", password=secrets.token_hex(24))
        # By its standard input: an argument could be read by everybody.
        told = _configuration(made, box.inside)
        async with at.start(box.argv(found[0], "-"), stdin=told) as process:
            ended = asyncio.ensure_future(process.exited())
            try:
                await _ready(made, at, ended)
                yield made
            finally:
                ended.cancel()
                await asyncio.gather(ended, return_exceptions=True)


async def _configuration(made: Instance, folder: str) -> Bytes:
    yield (
        f"port 0\nunixsocket {folder}/{_SOCKET}\nunixsocketperm 700\ndir {folder}\n"
        f"requirepass {made.password}\n"
        'save ""\nappendonly no\ndatabases 1024\n'
        f"logfile {folder}/redis.log\n"
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
