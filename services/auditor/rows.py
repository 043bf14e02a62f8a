"""Reads and writes rows of the read model: one statement per table, whatever the batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Table

from services.auditor.projection.change import Change, Row

_NUL = b"\\u0000"

State: TypeAlias = dict[tuple[str, ...], Row | None]


class Statements(msgspec.Struct, frozen=True):
    """Each takes one parameter: a JSON array of rows, or of keys."""

    load: str
    store: str
    delete: str


@cache
def statements(table: Table) -> Statements:
    """The SQL of a table; names come from our own metadata only."""
    keys = [column.name for column in table.primary_key]
    columns = ", ".join(column.name for column in table.columns)
    same = " AND ".join(f"t.{key} = k.{key}" for key in keys)
    values = [column.name for column in table.columns if column.name not in keys]
    rows = f"jsonb_populate_recordset(NULL::{table.name}, $1::jsonb)"
    return Statements(
        load=f"SELECT to_jsonb(t) FROM {table.name} t JOIN {rows} k ON {same}",  # noqa: S608 - own names
        store=f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {rows} "  # noqa: S608 - own names
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        + ", ".join(f"{value} = EXCLUDED.{value}" for value in values),
        delete=f"DELETE FROM {table.name} t USING {rows} k WHERE {same}",  # noqa: S608 - own names
    )


async def apply(connection: Any, changes: Iterable[Change]) -> None:
    """Make the changes, in order, inside the caller's transaction."""
    by_table: dict[Table, list[Change]] = defaultdict(list)
    for change in changes:
        by_table[change.table].append(change)
    for table, of_table in by_table.items():
        before = await _load(connection, table, of_table)
        await _store(connection, table, before, folded(before, of_table))


def folded(before: State, changes: Iterable[Change]) -> State:
    """The rows after the changes; `before` stays as it is."""
    after = dict(before)
    for change in changes:
        key = _key(change.key)
        after[key] = change.fold(after.get(key))
    return after


async def _load(connection: Any, table: Table, changes: Iterable[Change]) -> State:
    names = [column.name for column in table.primary_key]
    wanted = {_key(change.key): dict(zip(names, change.key, strict=True)) for change in changes}
    found = await connection.fetch(statements(table).load, _json(list(wanted.values())))
    rows: list[Row] = [msgspec.json.decode(text) for (text,) in found]
    return {_key(row[name] for name in names): row for row in rows}


async def _store(connection: Any, table: Table, before: State, after: State) -> None:
    changed = [row for key, row in after.items() if row is not None and row is not before.get(key)]
    if changed:
        await connection.execute(statements(table).store, _json(changed))
    gone = [row for key, row in before.items() if row is not None and after[key] is None]
    if gone:
        await connection.execute(statements(table).delete, _json(gone))


def _key(parts: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, parts))


def _json(rows: list[Row]) -> str:
    encoded = msgspec.json.encode(rows)
    if _NUL in encoded:
        encoded = msgspec.json.encode(_without_nul(msgspec.json.decode(encoded)))
    return encoded.decode()


def _without_nul(value: Any) -> Any:
    """Postgres holds no NUL in text; event_log keeps the bytes as they came."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(part) for part in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(part) for name, part in value.items()}
    return value
