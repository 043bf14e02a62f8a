"""One restore: into a database nobody sees, checked, and only then given its name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import msgspec

from services.executor.engines.base import (
    BusyError,
    Bytes,
    Restored,
    Target,
    TargetExistsError,
    VersionError,
)
from services.executor.engines.login import Login
from services.executor.engines.postgresql import tools
from services.executor.engines.postgresql.connection import (
    Connection,
    connected,
    tool_environment,
)
from services.executor.engines.postgresql.content import check_of, content, require_same
from services.executor.engines.postgresql.problems import of_tool
from services.executor.engines.postgresql.quoting import (
    conninfo_database,
    database_name,
    identifier,
    literal,
)
from services.executor.engines.postgresql.toc import Origin, read_origin
from services.executor.runners.base import OnLine, Session
from shared.ending import ended
from shared.messages.values import TableContent

# Somebody's monitoring may look into the new database at the moment it gets its name.
_RENAME_TRIES = 20
_RENAME_WAIT_S = 0.5

_MARK = re.compile(r"Restored by Holdfast: restore ([0-9a-f-]{36}), ([0-9]+) bytes")
_COMMENT = """
select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1
"""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's settings that concern a restore."""

    keep_owners: bool
    analyze: bool


class Restore:
    """The steps of one restore; each may be repeated after a kill at any moment."""

    def __init__(
        self, login: Login, at: Session, target: Target, maintenance: str, options: Options
    ) -> None:
        self._login, self._at, self._target = login, at, target
        self._maintenance, self._options = maintenance, options
        self._name = database_name(target.database)
        # The name alone proves whose it is: only databases of this name are ever dropped.
        self._working = f"holdfast-restore-{target.restore_id.hex}"

    async def run(self, source: Bytes, on_line: OnLine | None) -> Restored:
        """See `Engine.restore`."""
        async with self._maintenance_connection() as connection:
            finished = await self._finished_before(connection)
            if finished is not None:
                return Restored(raw_bytes=finished, tables=await self._check(self._name))
            tool, counted = await self._begin(connection, source)
        try:
            await self._load(tool.path, counted, on_line)
            tables = await self._check(self._working)
            await self._reveal(counted.bytes)
        except BaseException:
            with suppress(Exception):  # what went wrong before is the cause to tell
                await asyncio.shield(asyncio.ensure_future(self.undo()))
            raise
        return Restored(raw_bytes=counted.bytes, tables=tables)

    async def undo(self) -> Restored | None:
        """Drop what this restore made as long as it had no name; returns what has one."""
        async with self._maintenance_connection() as connection:
            await self._drop(connection)
            found = await connection.row(_COMMENT, self._name)
            finished = self._finished_by_us(found) if found is not None else None
        if finished is None:
            return None
        # Only what held exactly the recorded content was given the mark.
        return Restored(raw_bytes=finished, tables=list(self._target.tables))

    async def _begin(self, connection: Connection, source: Bytes) -> tuple[tools.Tool, _Counted]:
        """The tool, looked for while the archive is opened and the database made; and the dump.

        Where this ends badly, `undo_restore` drops what was made.
        """
        major = connection.major
        looking = tools.find(self._at, "pg_restore", major, tls=self._login.tls != "off")
        finding = asyncio.create_task(looking)
        try:
            origin, beginning = await read_origin(source)
            if origin.major > major:
                raise VersionError(
                    f"the backup is from PostgreSQL {origin.major}, the target is {major}"
                )
            await self._create(connection, origin)
            return await finding, _Counted(beginning, source)
        finally:
            await ended(finding)

    async def _finished_before(self, connection: Connection) -> int | None:
        """The raw bytes of the finished target, None where none stands; else TargetExistsError."""
        found = await connection.row(_COMMENT, self._name)
        if found is None:
            return None
        finished = self._finished_by_us(found)
        if finished is None:
            raise TargetExistsError("a database of this name exists already")
        return finished

    def _finished_by_us(self, found: dict[str, Any]) -> int | None:
        """The raw bytes of this very restore, None where the database is anybody else's."""
        mark = _MARK.fullmatch(found["comment"] or "")
        if mark is None or mark[1] != str(self._target.restore_id):
            return None
        return int(mark[2])

    async def _create(self, connection: Connection, origin: Origin) -> None:
        await self._drop(connection)
        await connection.execute(
            f"create database {identifier(self._working)} template template0 {origin.options}"
        )

    async def _load(self, tool: str, source: _Counted, on_line: OnLine | None) -> None:
        argv = [
            tool,
            "--format=custom",
            "--exit-on-error",
            "--no-password",
            *([] if self._options.keep_owners else ["--no-owner", "--no-privileges"]),
            f"--dbname={conninfo_database(self._working)}",
        ]
        env = await tool_environment(self._login, self._at, self._working)
        # What is lost in a crash is dropped and restored anew; naming it later waits for the disk.
        env |= {"PGOPTIONS": "-c synchronous_commit=off -c statement_timeout=0"}
        async with self._at.start(argv, env=env, stdin=source.pieces(), on_line=on_line) as process:
            async for _ in process.output():
                pass
            end = await process.exited()
        if not end.well:
            raise of_tool("pg_restore", end)

    async def _check(self, database: str) -> list[TableContent]:
        expected: Sequence[TableContent] = self._target.tables
        async with self._analyzing(database), connected(self._login, self._at, database) as own:
            # Somebody waits for it, and nobody else uses it yet: as parallel as the server likes.
            await own.execute("reset max_parallel_workers_per_gather")
            found = await content(own, check_of(expected))
            require_same(expected, found)
        return found

    @asynccontextmanager
    async def _analyzing(self, database: str) -> AsyncIterator[None]:
        """The planner's statistics are gathered while the block runs, and are there after it."""
        if not self._options.analyze or database != self._working:
            yield
            return
        gathering = asyncio.create_task(self._analyze())
        try:
            yield
            await gathering
        finally:
            await ended(gathering)

    async def _analyze(self) -> None:
        async with connected(self._login, self._at, self._working) as connection:
            await connection.execute("analyze")

    async def _reveal(self, raw_bytes: int) -> None:
        """Mark, then name: whoever sees the target sees all of it, and whose work it is."""
        mark = f"Restored by Holdfast: restore {self._target.restore_id}, {raw_bytes} bytes"
        working = identifier(self._working)
        async with self._maintenance_connection() as connection:
            await connection.execute(f"comment on database {working} is {literal(mark)}")
            for left in reversed(range(_RENAME_TRIES)):
                try:
                    await connection.execute(
                        f"alter database {working} rename to {identifier(self._name)}"
                    )
                except BusyError:
                    if not left:
                        raise
                    await asyncio.sleep(_RENAME_WAIT_S)
                else:
                    return

    async def _drop(self, connection: Connection) -> None:
        force = " with (force)" if connection.major >= 13 else ""
        await connection.execute(f"drop database if exists {identifier(self._working)}{force}")

    def _maintenance_connection(self) -> AbstractAsyncContextManager[Connection]:
        return connected(self._login, self._at, self._maintenance)


class _Counted:
    """The stream again from its beginning, counted."""

    def __init__(self, beginning: bytes, rest: Bytes) -> None:
        self._beginning, self._rest = beginning, rest
        self.bytes = 0

    async def pieces(self) -> Bytes:
        self.bytes += len(self._beginning)
        yield self._beginning
        async for piece in self._rest:
            self.bytes += len(piece)
            yield piece
