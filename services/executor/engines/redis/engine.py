"""The engine `redis`: its settings, and what it can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from services.executor.engines.base import (
    Bytes,
    CheckRefusedError,
    Dump,
    Engine,
    Found,
    Questions,
    Restored,
    Target,
)
from services.executor.engines.redis.dump import dumping
from services.executor.engines.redis.facts import ALL, told
from services.executor.engines.redis.restore import Restore
from services.executor.engines.redis.throw_away import instance
from services.executor.engines.redis.wire import connected
from services.executor.runners.base import OnLine, Session

Secret = Annotated[str, Meta(title="Password", extra_json_schema={"writeOnly": True})]


class Redis(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag="redis",
    tag_field="kind",
    forbid_unknown_fields=True,
):
    """A Redis or Valkey instance, reached over the network, dumped as a whole.

    The user needs PING, INFO, REPLCONF and PSYNC; to restore also SELECT, GET, SET, DEL, EXISTS,
    RESTORE, FUNCTION and FLUSHALL. TLS is verified unless it is turned off.
    """

    host: Annotated[str, Meta(title="Host", pattern=r"^[A-Za-z0-9:][A-Za-z0-9._:-]*$(?!\n)")]
    port: Annotated[int, Meta(title="Port", ge=1, le=65535)] = 6379
    user: Annotated[str, Meta(title="User", description="Empty: the default user")] = ""
    password: Secret = ""
    tls: Annotated[Literal["verify-full", "off"], Meta(title="TLS")] = "verify-full"
    ca_certificate: Annotated[
        str, Meta(title="Certificate of the authority", description="PEM; empty: the system's")
    ] = ""

    def __repr__(self) -> str:
        return f"Redis(host={self.host!r}, port={self.port}, user={self.user!r})"

    async def test(self, at: Session) -> str:
        async with connected(self, at) as connection:
            return (await told(connection, "server")).get("redis_version", "unknown")

    async def databases(self, at: Session) -> list[Found]:
        """One: the instance as a whole, whatever its numbered databases hold."""
        async with connected(self, at) as connection:
            memory = await told(connection, "memory")
        return [Found(name=ALL, size_bytes=int(memory.get("used_memory_dataset", 0)))]

    def dump(
        self,
        at: Session,
        database: str,
        *,
        on_line: OnLine | None = None,  # noqa: ARG002 - no tool is run that could say a line
    ) -> AbstractAsyncContextManager[Dump]:
        return dumping(self, at, database)

    async def restore(
        self,
        at: Session,
        target: Target,
        source: Bytes,
        *,
        on_line: OnLine | None = None,  # noqa: ARG002 - as above
    ) -> Restored:
        """Into an empty instance: nobody can be kept from seeing the keys as they come."""
        return await Restore(self, at, target).run(source)

    @asynccontextmanager
    async def throw_away(
        self,
        at: Session,
        server_version: str,  # noqa: ARG002 - any version that knows the dump's values will do
        *,
        on_line: OnLine | None = None,
    ) -> AsyncIterator[Engine]:
        async with instance(at, on_line) as made:
            given = {"host": made.host, "port": made.port, "password": made.password}
            yield msgspec.structs.replace(self, **given, user="", tls="off")

    @asynccontextmanager
    async def questions(self, at: Session, database: str) -> AsyncIterator[Questions]:  # noqa: ARG002 - as below
        """A Redis answers no queries; what its keys hold is compared by the restore itself."""
        raise CheckRefusedError(
            "a Redis answers no queries", fix="name the databases that the check is for"
        )
        yield  # a context manager is made from a generator

    async def undo_restore(self, at: Session, target: Target) -> Restored | None:
        return await Restore(self, at, target).undo()
