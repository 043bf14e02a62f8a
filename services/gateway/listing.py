"""Lists: one page of a query, sorted by a column and the id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from litestar.params import QueryParameter
from sqlalchemy import ColumnElement, Row, Select, Table, literal, select, tuple_

from services.gateway.dependencies import Dependencies
from services.gateway.paging import (
    DEFAULT_LIMIT,
    HIGHEST_LIMIT,
    Page,
    cursor_of,
    foreign_cursor,
    position_of,
)

View = TypeVar("View")

Limit = Annotated[int, QueryParameter(ge=1, le=HIGHEST_LIMIT, description="How many items at most")]
Cursor = Annotated[
    str | None, QueryParameter(max_length=2000, description="`next_cursor` of the page before")
]
ByTime = Annotated[
    Literal["-requested_at", "requested_at"], QueryParameter(description="`-` is the newest first")
]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of which list. `column` sorts; `kind` is the type of its values."""

    column: ColumnElement[Any]
    id_column: ColumnElement[Any]
    kind: Any
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    descending: bool = False


def by_name(table: Table, limit: int, cursor: str | None) -> Window:
    """A page of settings, sorted by their unique names."""
    return Window(
        column=table.c.name,
        id_column=table.c.id,
        kind=tuple[str, str, str],
        limit=limit,
        cursor=cursor,
    )


async def listed(
    deps: Dependencies, query: Select[Any], window: Window, view: Callable[[Row[Any]], View]
) -> Page[View]:
    """The page, in the window's order; raises InvalidFieldsError for a foreign cursor."""
    if window.cursor is not None:
        query = query.where(behind(deps, window, window.cursor))
    columns = (window.column, window.id_column)
    order = [column.desc() if window.descending else column.asc() for column in columns]
    rows = await deps.read_model.rows(query.order_by(*order).limit(window.limit + 1))
    shown = rows[: window.limit]
    more = len(rows) > window.limit
    return Page(
        items=[view(row) for row in shown],
        next_cursor=after(deps, window, shown[-1]) if more else None,
    )


async def all_by_name(
    deps: Dependencies, table: Table, limit: int, cursor: str | None, view: Callable[..., View]
) -> Page[View]:
    """A page of a table of settings."""
    return await listed(deps, select(table), by_name(table, limit, cursor), view)


def _label(window: Window) -> str:
    return f"{window.column}{'-' if window.descending else '+'}"


def behind(deps: Dependencies, window: Window, cursor: str) -> ColumnElement[bool]:
    """The condition for what comes after a cursor; raises InvalidFieldsError for a foreign one."""
    label, value, last_id = position_of(deps.secret, cursor, window.kind)
    if label != _label(window):
        raise foreign_cursor()
    position = tuple_(literal(value, window.column.type), literal(last_id, window.id_column.type))
    here = tuple_(window.column, window.id_column)
    return here < position if window.descending else here > position


def after(deps: Dependencies, window: Window, row: Row[Any]) -> str:
    """The cursor behind a row."""
    mapping = row._mapping
    return cursor_of(deps.secret, _label(window), mapping[window.column], mapping[window.id_column])
