"""Lists: one page of a query, sorted by a column and the id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
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
ByName = Annotated[
    Literal["name", "-name", "created_at", "-created_at"],
    QueryParameter(description="`-` turns the order round"),
]
ByAge = Annotated[
    Literal["created_at", "-created_at"], QueryParameter(description="`-` is the newest first")
]
NamePart = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=120,
        description="Only those with this in their name; capitals do not count",
    ),
]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of which list. `column` sorts; `kind` is the type of its values."""

    column: ColumnElement[Any]
    id_column: ColumnElement[Any]
    kind: Any
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    descending: bool = False


def sorted_by(table: Table, sort: str, limit: int, cursor: str | None) -> Window:
    """A page of settings, in the order of a `ByName` or `ByAge`."""
    column = table.c[sort.removeprefix("-")]
    return Window(
        column=column,
        id_column=table.c.id,
        kind=tuple[str, str, str] if column.name == "name" else tuple[str, datetime, str],
        limit=limit,
        cursor=cursor,
        descending=sort.startswith("-"),
    )


def named(query: Select[Any], table: Table, part: str | None) -> Select[Any]:
    """`query` for those with `part` in their name; all of it for None."""
    return query if part is None else query.where(table.c.name.icontains(part, autoescape=True))


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


async def all_by_name(  # noqa: PLR0913 - what a list is asked for
    deps: Dependencies,
    table: Table,
    view: Callable[..., View],
    *,
    name: str | None,
    sort: str,
    limit: int,
    cursor: str | None,
) -> Page[View]:
    """A page of a table of settings."""
    query = named(select(table), table, name)
    return await listed(deps, query, sorted_by(table, sort, limit, cursor), view)


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
