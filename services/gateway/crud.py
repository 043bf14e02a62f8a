"""The five routes that every settings noun has: list, create, show, replace, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from sqlalchemy import Row

from services.gateway import configured
from services.gateway.callers import Caller
from services.gateway.configured import Change, Noun
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByName, Cursor, Limit, NamePart, all_by_name
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input
from services.gateway.rights import Right
from shared.messages.settings import AnySetting

Setting: TypeAlias = Callable[[Dependencies, Change, Any, Row[Any] | None], Awaitable[AnySetting]]
"""(dependencies, who changes what, the input, the row before or None) -> what goes into the log."""

Removable: TypeAlias = Callable[[Dependencies, Row[Any]], Awaitable[None]]
"""Raises InUseError while something needs the thing."""


async def _always(_deps: Dependencies, _row: Row[Any]) -> None:
    """Nothing needs it."""


class Crud(msgspec.Struct, frozen=True, kw_only=True):
    """A noun whose things have a unique `name`; `says` holds the first line of each route's text,
    by `list`, `create`, `get`, `replace` and `delete`. `seen_by` is for a noun that tells each
    caller what they may do with a thing."""

    noun: Noun[Any]
    plural: str
    tag: str
    given: type[Input]
    shown: type[Any]
    read: Right
    write: Right
    setting: Setting
    removable: Removable = _always
    seen_by: Callable[[Caller], Noun[Any]] | None = None
    says: dict[str, str]

    def noun_for(self, caller: Caller) -> Noun[Any]:
        """The noun, as it is shown to a caller."""
        return self.noun if self.seen_by is None else self.seen_by(caller)


def routes_of(crud: Crud) -> list[HTTPRouteHandler]:
    """The routes, in the order of the words above.

    Their types follow from `crud`, so they are written into the annotations that Litestar reads.
    """
    noun, path = crud.noun, crud.noun.path + "/{thing_id:uuid}"

    async def all_of(  # noqa: PLR0913, PLR0917 - an argument per query parameter
        deps: Deps,
        caller: Who,
        name: NamePart = None,
        sort: ByName = "name",
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[Any]:
        return await all_by_name(
            deps,
            noun.table,
            crud.noun_for(caller).view,
            name=name,
            sort=sort,
            limit=limit,
            cursor=cursor,
        )

    async def create(
        data: Any, request: Request[Any, Any, Any], deps: Deps, caller: Who
    ) -> Response[Any]:
        async def made(thing: UUID) -> Answer:
            change = configured.creating(thing, caller)

            async def make() -> AnySetting:
                return await crud.setting(deps, change, data, None)

            return await configured.create(deps, crud.noun_for(caller), change, data.name, make)

        return await once(request, deps, caller, made)

    async def one(thing_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[Any]:
        row = await configured.row_of(deps, noun, str(thing_id))
        return configured.shown(row, crud.noun_for(caller))

    async def replace(
        thing_id: FromPath[UUID],
        data: Any,
        request: Request[Any, Any, Any],
        deps: Deps,
        caller: Who,
    ) -> Response[Any]:
        row = await configured.current(deps, noun, str(thing_id), request)
        setting = await crud.setting(deps, configured.changing(thing_id, caller), data, row)
        return await configured.replace(deps, crud.noun_for(caller), row, setting, data.name)

    async def remove(
        thing_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
    ) -> None:
        row = await configured.current(deps, noun, str(thing_id), request)
        await crud.removable(deps, row)
        await configured.remove(deps, noun, row, caller)

    shown: Any = crud.shown
    given: Any = crud.given
    all_of.__annotations__["return"] = Page[shown]
    for writing in (create, replace):
        writing.__annotations__["data"] = JSONBody[given]  # type: ignore[misc]  # no class, a value
    for showing in (create, one, replace):
        showing.__annotations__["return"] = Response[shown]

    def told(verb: str, name: str, right: Right) -> dict[str, Any]:
        return {
            "opt": {"right": right},
            "tags": [crud.tag],
            "operation_id": f"{verb}_{name}",
            "summary": f"{verb} {name}".title().replace(" ", ""),
            "description": crud.says[verb],
        }

    word = noun.name
    return [
        get(noun.path, **told("list", crud.plural, crud.read))(all_of),
        post(noun.path, status_code=201, **told("create", word, crud.write))(create),
        get(path, **told("get", word, crud.read))(one),
        put(path, **told("replace", word, crud.write))(replace),
        delete(path, status_code=204, **told("delete", word, crud.write))(remove),
    ]
