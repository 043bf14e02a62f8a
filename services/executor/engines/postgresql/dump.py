"""One dump under way: `pg_dump` in an exported snapshot, and the content of that snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from services.executor.engines.base import (
    Bytes,
    ConnectionLostError,
    DumpFacts,
    EngineError,
)
from services.executor.engines.login import Login
from services.executor.engines.postgresql import tools
from services.executor.engines.postgresql.connection import (
    Connection,
    connected,
    tool_environment,
)
from services.executor.engines.postgresql.content import ContentCheck, content
from services.executor.engines.postgresql.problems import of_tool
from services.executor.engines.postgresql.quoting import database_name
from services.executor.runners.base import OnLine, Process, Session
from shared.ending import ended
from shared.messages.values import TableContent

LOCK_WAIT_S = 120

_MOMENT = """
select pg_export_snapshot() as snapshot, clock_timestamp() as at,
    (case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
          else pg_current_wal_lsn() end)::text as lsn,
    current_setting('server_version') as version,
    (select sum(pg_table_size(c.oid)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema')::bigint
     as bytes
"""


class _Moment(msgspec.Struct, frozen=True):
    """The moment a dump shows."""

    snapshot: str
    at: datetime
    lsn: str
    version: str
    bytes: int | None


class PostgresqlDump:
    """See `Dump`."""

    def __init__(
        self,
        facts: DumpFacts,
        process: Process,
        connection: Connection,
        counting: asyncio.Task[list[TableContent]],
    ) -> None:
        self.facts = facts
        self._process, self._connection, self._counting = process, connection, counting
        self._tables: list[TableContent] = []

    @property
    def tables(self) -> list[TableContent]:
        return self._tables

    def output(self) -> Bytes:
        return self._process.output()

    async def ended(self) -> None:
        ended = await self._process.exited()
        if not ended.well:
            if ended.signal is None and self._connection.lost:
                raise ConnectionLostError("the server ended the connection")
            raise of_tool("pg_dump", ended)
        self._tables = await self._counting


@asynccontextmanager
async def dumping(
    login: Login, at: Session, database: str, check: ContentCheck, on_line: OnLine | None
) -> AsyncIterator[PostgresqlDump]:
    """Begin. The connection holds the snapshot that `pg_dump` and the counting share."""
    async with connected(login, at, database_name(database)) as connection:
        tool = await tools.find(at, "pg_dump", connection.major, tls=login.tls != "off")
        identity = await _identity(connection)
        await connection.execute("begin isolation level repeatable read read only")
        (row,) = await connection.rows(_MOMENT)
        moment = _Moment(**row)
        argv = _argv(tool.path, moment.snapshot)
        env = await tool_environment(login, at, database)
        async with at.start(argv, env=env, on_line=on_line) as process:
            counting = asyncio.create_task(content(connection, check))
            try:
                yield PostgresqlDump(_facts(moment, tool, identity), process, connection, counting)
            finally:
                await ended(counting)  # what counts was raised by the dump's own `ended`


def _argv(tool: str, snapshot: str) -> list[str]:
    return [
        tool,
        "--format=custom",
        "--compress=0",
        "--no-password",
        f"--lock-wait-timeout={LOCK_WAIT_S * 1000}",
        f"--snapshot={snapshot}",
    ]


async def _identity(connection: Connection) -> str:
    """The cluster's system identifier; nothing where the user may not know it."""
    try:
        row = await connection.row("select system_identifier::text as id from pg_control_system()")
    except EngineError:
        if connection.lost:
            raise
        return ""
    return str(row["id"]) if row else ""


def _facts(moment: _Moment, tool: tools.Tool, identity: str) -> DumpFacts:
    return DumpFacts(
        identity=identity,
        tool="pg_dump",
        tool_version=tool.version,
        server_version=moment.version,
        consistency_point=f"lsn {moment.lsn}",
        taken_at=moment.at,
        estimated_bytes=moment.bytes,
    )
