"""One restore: every key of a dump into an empty instance, by `RESTORE`, and counted after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from services.executor.engines.base import (
    Bytes,
    ContentDiffersError,
    Restored,
    Target,
    TargetExistsError,
)
from services.executor.engines.login import Login
from services.executor.engines.redis.dump import OURS, lasting
from services.executor.engines.redis.facts import lasting_keys, require_all
from services.executor.engines.redis.rdb import Function, Key, RdbReader
from services.executor.engines.redis.wire import Connection, connected
from services.executor.runners.base import Session
from shared.messages.values import TableContent

_AT_ONCE = 500
_AT_ONCE_BYTES = 4 << 20
_REMEMBERED_S = 3600
"""How long a finished restore can be told from somebody else's data."""

_Command = list["str | bytes | int"]


class Restore:
    """The steps of one restore; each may be repeated after a kill at any moment.

    A key of ours marks the instance as being restored: only then may all of it be thrown away.
    """

    def __init__(self, login: Login, at: Session, target: Target) -> None:
        self._login, self._at, self._target = login, at, target
        self._working = OURS + b"ing:" + target.restore_id.hex.encode()
        self._database = 0
        self._done = OURS + b"ed:" + target.restore_id.hex.encode()

    async def run(self, source: Bytes) -> Restored:
        """See `Engine.restore`."""
        require_all(self._target.database)
        async with connected(self._login, self._at) as connection:
            finished = await connection.call("GET", self._done)
            if finished is not None:
                return Restored(raw_bytes=int(finished), tables=list(self._target.tables))
            await self._begin(connection)
        try:
            async with connected(self._login, self._at) as connection:
                raw_bytes = await self._load(connection, source)
                tables = await self._check(connection)
                await self._finish(connection, raw_bytes)
        except BaseException:
            with suppress(Exception):  # what went wrong before is the cause to tell
                await asyncio.shield(asyncio.ensure_future(self.undo()))
            raise
        return Restored(raw_bytes=raw_bytes, tables=tables)

    async def undo(self) -> Restored | None:
        """Empty the instance as long as this restore has not finished it."""
        async with connected(self._login, self._at) as connection:
            finished = await connection.call("GET", self._done)
            if finished is not None:
                return Restored(raw_bytes=int(finished), tables=list(self._target.tables))
            if await connection.call("EXISTS", self._working):
                await connection.call("FLUSHALL")
        return None

    async def _begin(self, connection: Connection) -> None:
        if await connection.call("EXISTS", self._working):
            await connection.call("FLUSHALL")
        if await lasting_keys(connection):
            raise TargetExistsError(
                "the instance is not empty",
                fix="restore into an empty instance, or empty this one first (FLUSHALL)",
            )
        await connection.call("SET", self._working, "1")

    async def _load(self, connection: Connection, source: Bytes) -> int:
        reader, raw_bytes = RdbReader(), 0
        async for piece in source:
            raw_bytes += len(piece)
            entries = await asyncio.to_thread(lambda data: [*reader.feed(data)], piece)
            await self._put(connection, entries, reader)
        await self._put(connection, reader.finish(), reader)
        return raw_bytes

    async def _put(
        self, connection: Connection, entries: Sequence[Key | Function], reader: RdbReader
    ) -> None:
        for commands in self._batches(entries, reader):
            await connection.pipeline(commands)

    def _batches(
        self, entries: Sequence[Key | Function], reader: RdbReader
    ) -> Iterator[list[_Command]]:
        """The commands for some entries, so many at once that memory stays bounded."""
        commands: list[_Command] = []
        size = 0
        for entry in entries:
            if isinstance(entry, Function):
                commands.append(["FUNCTION", "LOAD", "REPLACE", entry.code])
            elif not entry.name.startswith(OURS) and not _expired(entry):
                if entry.database != self._database:
                    self._database = entry.database
                    commands.append(["SELECT", self._database])
                commands.append(_restored(entry, reader))
                size += len(entry.value)
            if len(commands) >= _AT_ONCE or size >= _AT_ONCE_BYTES:
                yield commands
                commands, size = [], 0
        if commands:
            yield commands

    async def _check(self, connection: Connection) -> list[TableContent]:
        """Compare with the record; our own mark is no content."""
        found = []
        for database, (_, keys) in sorted((await lasting_keys(connection)).items()):
            if rows := keys - (database == 0):
                found.append(TableContent(name=lasting(database), rows=rows))
        expected = {one.name: one.rows for one in self._target.tables if one.rows}
        now = {one.name: one.rows for one in found}
        if self._target.tables and expected != now:
            different = sorted(
                name for name in expected | now if expected.get(name) != now.get(name)
            )
            raise ContentDiffersError(
                f"what was backed up does not stand in {', '.join(different[:3])}"
            )
        return found

    async def _finish(self, connection: Connection, raw_bytes: int) -> None:
        await connection.pipeline(
            [
                ["SELECT", 0],
                ["SET", self._done, raw_bytes, "EX", _REMEMBERED_S],
                ["DEL", self._working],
            ]
        )


def _restored(key: Key, reader: RdbReader) -> _Command:
    payload = reader.footer(key.value)
    if key.expires_ms is None:
        return ["RESTORE", key.name, 0, payload]
    return ["RESTORE", key.name, key.expires_ms, payload, "ABSTTL"]


def _expired(key: Key) -> bool:
    return key.expires_ms is not None and key.expires_ms <= time.time() * 1000
