"""Server groups: a name that servers share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.configured import Change, Noun
from services.gateway.errors import InUseError
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByName, Cursor, Limit, NamePart, all_by_name
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input, Name, Text, convert
from services.gateway.rights import Right
from shared.messages.settings import GroupSetting
from shared.readmodel.tables import server_groups, servers

PATH = "/server-groups"


class NewGroup(Input, frozen=True, kw_only=True):
    """A group; servers name the groups that they belong to."""

    name: Name
    description: Text = ""
    quota_bytes: (
        Annotated[
            int,
            Meta(ge=1, description="What the backups of its servers may take up, in all stores"),
        ]
        | None
    ) = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group."""

    id: str
    name: str
    description: str
    quota_bytes: int | None
    created_at: datetime
    updated_at: datetime
    version: int


def group_of(row: Row[Any]) -> Group:
    """A row as the API shows it."""
    return convert(row, Group)


GROUP = Noun("group", server_groups, PATH, group_of)


@get(PATH, opt={"right": Right.GROUPS_READ}, tags=["servers"], operation_id="list_groups")
async def list_groups(
    deps: Deps,
    name: NamePart = None,
    sort: ByName = "name",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Group]:
    """List the groups by name."""
    return await all_by_name(
        deps, server_groups, group_of, name=name, sort=sort, limit=limit, cursor=cursor
    )


@post(
    PATH,
    opt={"right": Right.GROUPS_WRITE},
    tags=["servers"],
    operation_id="create_group",
    status_code=201,
)
async def create_group(
    data: JSONBody[NewGroup], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Group]:
    """Make a group; it is empty until a server names it."""

    async def create(thing: UUID) -> Answer:
        change = configured.creating(thing, caller)

        async def make() -> GroupSetting:
            return _setting(change, data)

        return await configured.create(deps, GROUP, change, data.name, make)

    return await once(request, deps, caller, create)


@get(
    PATH + "/{group_id:uuid}",
    opt={"right": Right.GROUPS_READ},
    tags=["servers"],
    operation_id="get_group",
)
async def get_group(group_id: FromPath[UUID], deps: Deps) -> Response[Group]:
    """Show one group."""
    return configured.shown(await configured.row_of(deps, GROUP, str(group_id)), GROUP)


@put(
    PATH + "/{group_id:uuid}",
    opt={"right": Right.GROUPS_WRITE},
    tags=["servers"],
    operation_id="replace_group",
)
async def replace_group(
    group_id: FromPath[UUID],
    data: JSONBody[NewGroup],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Group]:
    """Replace a group's name and description."""
    row = await configured.current(deps, GROUP, str(group_id), request)
    setting = _setting(configured.changing(group_id, caller), data)
    return await configured.replace(deps, GROUP, row, setting, data.name)


@delete(
    PATH + "/{group_id:uuid}",
    opt={"right": Right.GROUPS_WRITE},
    tags=["servers"],
    operation_id="delete_group",
    status_code=204,
)
async def delete_group(
    group_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Delete a group that no server belongs to. A grant that names it covers nothing by it."""
    row = await configured.current(deps, GROUP, str(group_id), request)
    member = select(servers.c.id).where(servers.c.group_ids.contains([row.id]))
    if await deps.read_model.one(member.limit(1)) is not None:
        raise InUseError("a server belongs to this group", fix="take its servers out of it first")
    await configured.remove(deps, GROUP, row, caller)


def _setting(change: Change, data: NewGroup) -> GroupSetting:
    return GroupSetting(
        **change.said_by(),
        name=data.name,
        description=data.description,
        quota_bytes=data.quota_bytes,
    )


ROUTES = [
    list_groups,
    create_group,
    get_group,
    replace_group,
    delete_group,
]
