"""Whether two PostgreSQL databases hold the same: schema, every row, sequences, large objects."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import asyncpg
import msgspec

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY 1
"""
# Order-free: two independent 64-bit hashes of each row, summed; a changed, lost or doubled row
# changes at least one sum.
_CONTENT = """
SELECT count(*), coalesce(sum(hashtextextended(t::text, 1)::numeric), 0)::text,
       coalesce(sum(hashtextextended(t::text, 2)::numeric), 0)::text
FROM ONLY {table} AS t
"""
# Output settings are part of what `t::text` says, so both sides use the same ones.
_SETTINGS = "SET TimeZone = 'UTC'; SET extra_float_digits = 1"
AT_ONCE = 2
_SEQUENCES = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
_LARGE_OBJECTS = "SELECT loid::text, pageno, md5(data) FROM pg_largeobject ORDER BY 1, 2"


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one database, and where its version's client tools are."""

    port: int
    user: str
    password: str
    database: str
    tools: Path
    host: str = "127.0.0.1"

    def __repr__(self) -> str:
        return f"Postgres({self.host}:{self.port}/{self.database})"

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.database,
            ssl=False,
        )


class Content(msgspec.Struct, frozen=True):
    """Everything in a database, as text that is equal when the databases are."""

    schema: str
    tables: dict[str, tuple[int, str, str]]
    sequences: list[tuple[str, str, int]]
    large_objects: list[tuple[str, int, str]]

    @property
    def rows(self) -> int:
        return sum(count for count, _, _ in self.tables.values())


def differences(one: Content, other: Content) -> list[str]:
    """What is not the same, in words; empty when both hold the same."""
    found = [] if one.schema == other.schema else ["schema"]
    names = sorted(one.tables.keys() | other.tables.keys())
    found += [f"table {name}" for name in names if one.tables.get(name) != other.tables.get(name)]
    if one.sequences != other.sequences:
        found.append("sequences")
    if one.large_objects != other.large_objects:
        found.append("large objects")
    return found


async def content_of(database: Postgres) -> Content:
    """Read the whole database; takes about as long as a sequential scan of it."""
    schema = await _schema(database)
    connection = await database.connect()
    try:
        names = [row["name"] for row in await connection.fetch(_TABLES)]
        sequences = [tuple(row) for row in await connection.fetch(_SEQUENCES)]
        large = [tuple(row) for row in await connection.fetch(_LARGE_OBJECTS)]
    finally:
        await connection.close()
    halves = await asyncio.gather(*(_tables(database, names[n::AT_ONCE]) for n in range(AT_ONCE)))
    tables = {name: content for half in halves for name, content in half.items()}
    return Content(schema, tables, sequences, large)


async def _tables(database: Postgres, names: list[str]) -> dict[str, tuple[int, str, str]]:
    connection = await database.connect()
    try:
        await connection.execute(_SETTINGS)
        # Each name was quoted by the server's own format('%I').
        return {
            name: tuple(await connection.fetchrow(_CONTENT.format(table=name))) for name in names
        }
    finally:
        await connection.close()


async def _schema(database: Postgres) -> str:
    """`pg_dump --schema-only` without the lines that differ from dump to dump."""
    process = await asyncio.create_subprocess_exec(
        str(database.tools / "pg_dump"),
        *("--schema-only", f"--host={database.host}", f"--port={database.port}"),
        *(f"--username={database.user}", "--no-password", f"--dbname={database.database}"),
        env={"PGPASSWORD": database.password, "PGSSLMODE": "disable"},
        stdout=asyncio.subprocess.PIPE,
    )
    text, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"pg_dump --schema-only of {database!r} failed")
    return re.sub(r"(?m)^\\(un)?restrict .*$|^--.*$", "", text.decode())
