"""One dump under way: a snapshot as a replica gets it, counted on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from services.executor.engines.base import Bytes, DumpFacts, NotADumpError
from services.executor.engines.login import Login
from services.executor.engines.redis.facts import require_all, told
from services.executor.engines.redis.rdb import Function, Key, RdbReader
from services.executor.engines.redis.wire import Connection, RefusedError, connected
from services.executor.runners.base import Session
from shared.messages.base import now
from shared.messages.values import TableContent

_PIECE = 1 << 20
_MARK = 40
OURS = b"holdfast:restor"
"""What the names of our own keys begin with: they belong to no content."""


class RedisDump:
    """See `Dump`. It is whole only if the file's own end and checksum were seen."""

    def __init__(self, connection: Connection, facts: DumpFacts, framing: bytes) -> None:
        self.facts = facts
        self._connection, self._framing = connection, framing
        self._reader = RdbReader()
        self._lasting: Counter[int] = Counter()
        self._ended = False

    @property
    def tables(self) -> list[TableContent]:
        """Keys that expire may be gone before a restore, so those that never do are counted."""
        return [
            TableContent(name=lasting(database), rows=rows)
            for database, rows in sorted(self._lasting.items())
        ]

    async def output(self) -> Bytes:
        async for piece in _payload(self._connection, self._framing):
            await asyncio.to_thread(lambda new: self._count(self._reader.feed(new)), piece)
            yield piece
        self._ended = True

    async def ended(self) -> None:
        if not self._ended:
            raise NotADumpError("the server's snapshot was not read to its end")
        self._count(self._reader.finish())

    def _count(self, entries: Iterable[Key | Function]) -> None:
        for entry in entries:
            if isinstance(entry, Key) and entry.expires_ms is None and _counts(entry):
                self._lasting[entry.database] += 1


def lasting(database: int) -> str:
    """What the record of a database's keys is called."""
    return f"db{database}: keys that never expire"


def _counts(key: Key) -> bool:
    return not key.name.startswith(OURS)


@asynccontextmanager
async def dumping(login: Login, at: Session, database: str) -> AsyncIterator[RedisDump]:
    """Begin: the server forks, and sends what it held at that moment."""
    require_all(database)
    async with connected(login, at) as connection:
        server = await told(connection, "server")
        memory = await told(connection, "memory")
        await connection.call("REPLCONF", "capa", "eof", "capa", "psync2")
        await connection.say("PSYNC", "?", "-1")
        answer = (await connection.line()).lstrip(b"\n").decode("ascii", "replace").split()
        if len(answer) != 3 or answer[0] != "+FULLRESYNC":
            raise RefusedError("the server offers no full synchronisation")
        facts = DumpFacts(
            tool="psync",
            tool_version="2",
            server_version=server.get("redis_version", ""),
            consistency_point=f"{answer[1]} {answer[2]}",
            taken_at=now(),
            estimated_bytes=int(memory.get("used_memory_dataset", 0)) or None,
        )
        yield RedisDump(connection, facts, (await connection.line()).lstrip(b"\n"))


async def _payload(connection: Connection, framing: bytes) -> AsyncIterator[bytes]:
    """The file, by its length, or up to the mark of 40 bytes that was announced."""
    if framing.startswith(b"$EOF:") and len(framing) == len(b"$EOF:") + _MARK:
        async for piece in _until(connection, framing[5:]):
            yield piece
    elif framing[:1] == b"$" and framing[1:].isdigit():
        left = int(framing[1:])
        while left:
            piece = await connection.piece(min(_PIECE, left))
            left -= len(piece)
            yield piece
    else:
        raise RefusedError("the server's snapshot begins in no known form")


async def _until(connection: Connection, mark: bytes) -> AsyncIterator[bytes]:
    """After the mark nothing comes: the server waits for a word of its replica first."""
    held = b""
    while not held.endswith(mark):
        held += await connection.piece(_PIECE)
        if len(held) > _MARK and not held.endswith(mark):
            yield held[:-_MARK]
            held = held[-_MARK:]
    if rest := held[:-_MARK]:
        yield rest
