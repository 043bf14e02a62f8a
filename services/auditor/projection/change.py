"""What an event does to the read model: for each row it touches, how the row follows from itself.

A row is a dict of JSON values, one per column, or None where there is no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Table

from shared.messages.base import Message

Row: TypeAlias = dict[str, Any]
Fold: TypeAlias = Callable[[Row | None], Row | None]
Key: TypeAlias = tuple[Any, ...]


class Change(msgspec.Struct, frozen=True):
    """`fold` gives the row after the event; returning its argument means: nothing to do."""

    table: Table
    key: Key
    fold: Fold


Projection: TypeAlias = Callable[[Any, int], Iterable[Change]]
"""Of one message class: (message, its sequence) -> changes."""

Projections: TypeAlias = Mapping[type[Message], Projection]


def new_row(table: Table, **values: Any) -> Row:
    """A whole row: what is not given is NULL."""
    return {column.name: None for column in table.columns} | values


def create(row: Row) -> Fold:
    """Add the row; the first one stays."""
    return lambda old: row if old is None else old


def update(**values: Any) -> Fold:
    """Set values where there is a row."""
    return lambda old: None if old is None else old | values


def remove(_old: Row | None) -> None:
    """Take the row away."""
