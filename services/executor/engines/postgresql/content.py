"""What the tables of a database hold: rows, and on wish an order-free hash of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum

from services.executor.engines.base import ContentDiffersError
from services.executor.engines.postgresql.connection import Connection
from shared.messages.values import TableContent

# A fact has to fit into one message; beyond this many tables it holds one entry for all.
TABLES_LIMIT = 2000
_LARGE_OBJECTS = "(large objects)"
_ALL_TABLES = "(all tables)"
_NAMED_IN_CAUSE = 3

# What pg_dump writes data of: ordinary tables and partitions that no extension owns.
_TABLES = """
select format('%I.%I', n.nspname, c.relname) as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                  and d.objid = c.oid and d.deptype = 'e')
order by 1
"""
_LARGE = "select count(*) as rows, 0::numeric as sum from pg_largeobject_metadata"
# The first 64 MiB of each: memory of the server stays bounded.
_LARGE_HASHED = """
select count(*) as rows, coalesce(sum(hashtextextended(
    oid::text || ':' || encode(sha256(lo_get(oid, 0, 67108864)), 'hex'), 0)), 0) as sum
from pg_largeobject_metadata
"""


class ContentCheck(StrEnum):
    """How much of the content is recorded at a backup and compared after a restore."""

    HASHES = "hashes"
    COUNTS = "counts"
    OFF = "off"


async def content(connection: Connection, check: ContentCheck) -> list[TableContent]:
    """One entry for each table and one for the large objects, as the transaction sees them."""
    if check is ContentCheck.OFF:
        return []
    hashed = check is ContentCheck.HASHES
    found = [
        await _entry(connection, row["name"], _of_table(row["name"], hashed=hashed), hashed=hashed)
        for row in await connection.rows(_TABLES)
    ]
    large = await _entry(
        connection, _LARGE_OBJECTS, _LARGE_HASHED if hashed else _LARGE, hashed=hashed
    )
    return condensed([*found, large] if large.rows else found)


def check_of(expected: Sequence[TableContent]) -> ContentCheck:
    """How a record was made."""
    if not expected:
        return ContentCheck.OFF
    return ContentCheck.HASHES if any(one.sha256 for one in expected) else ContentCheck.COUNTS


def require_same(expected: Sequence[TableContent], found: Sequence[TableContent]) -> None:
    """Raise ContentDiffersError naming the first tables whose content is not as recorded."""
    was = {one.name: one for one in expected}
    now = {one.name: one for one in found}
    different = [name for name in sorted(was | now) if was.get(name) != now.get(name)]
    if different:
        named = ", ".join(name[:100] for name in different[:_NAMED_IN_CAUSE])
        raise ContentDiffersError(
            f"what was backed up does not stand in {len(different)} table(s), among them {named}"
        )


def condensed(entries: list[TableContent], limit: int = TABLES_LIMIT) -> list[TableContent]:
    """The same, or one entry that stands for them all and changes when any of them does."""
    if len(entries) <= limit:
        return entries
    whole = hashlib.sha256()
    for one in entries:
        whole.update(f"{one.name}\0{one.rows}\0{one.sha256}\n".encode())
    rows = sum(one.rows for one in entries)
    hashed = any(one.sha256 for one in entries)
    name = f"{_ALL_TABLES} {len(entries)} {'' if hashed else whole.hexdigest()}".strip()
    return [TableContent(name=name, rows=rows, sha256=whole.hexdigest() if hashed else "")]


def _of_table(name: str, *, hashed: bool) -> str:
    """`name` is quoted by the server itself. `only`: a parent's rows are its partitions'."""
    if not hashed:
        return f"select count(*) as rows, 0::numeric as sum from only {name}"  # noqa: S608 - quoted
    return (
        "select count(*) as rows, "  # noqa: S608 - quoted
        'coalesce(sum(hashtextextended("holdfast row"::text, 0)), 0) as sum '
        f'from only {name} as "holdfast row"'
    )


async def _entry(
    connection: Connection, name: str, statement: str, *, hashed: bool
) -> TableContent:
    (row,) = await connection.rows(statement)
    digest = hashlib.sha256(f"{row['rows']} {row['sum']}".encode()).hexdigest()
    return TableContent(name=name, rows=row["rows"], sha256=digest if hashed else "")
