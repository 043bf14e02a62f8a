"""Stores: the places where archives live."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.configured import Change, Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InUseError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit, all_by_name
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.plugin_configs import NOTHING, Stored, accepted, sealed
from services.gateway.representations import Input, Name, convert
from services.gateway.rights import Right
from shared.keys.plugins import without_secrets
from shared.messages.settings import StoreSetting
from shared.messages.values import PluginConfig, Problem
from shared.readmodel.tables import archives, backups, stores

Tier = Literal["hot", "cold"]
GONE = ("deleted", "failed", "cancelled")
PLACE = ("kind", "root", "endpoint", "bucket", "prefix")
"""The settings, of whichever kind of store, that say where its objects stand."""


class NewStore(Input, frozen=True, kw_only=True):
    """A store as a caller describes it. `store` is described by `GET /plugins`."""

    name: Name
    tier: Tier = "hot"
    region: Annotated[str, Meta(max_length=64)] = ""
    quota_bytes: Annotated[int, Meta(ge=1)] | None = None
    store: PluginConfig

    def __repr__(self) -> str:
        return f"NewStore(name={self.name!r})"


class StoreShown(msgspec.Struct, frozen=True, kw_only=True):
    """A store, without its secrets, and what its last test said."""

    id: str
    name: str
    tier: Tier
    region: str
    quota_bytes: int | None = None
    store: PluginConfig
    tested_at: datetime | None = None
    test_problem: Problem | None = None
    free_bytes: int | None = None
    created_at: datetime
    updated_at: datetime
    version: int


def store_of(row: Row[Any]) -> StoreShown:
    """A row as the API shows it."""
    return convert(row, StoreShown, store=without_secrets(row.store))


STORE = Noun("store", stores, "/stores", store_of)


@get("/stores", opt={"right": Right.STORES_READ}, tags=["stores"], operation_id="list_stores")
async def list_stores(
    deps: Deps, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[StoreShown]:
    """List the stores by name."""
    return await all_by_name(deps, stores, limit, cursor, store_of)


@post(
    "/stores",
    opt={"right": Right.STORES_WRITE},
    tags=["stores"],
    operation_id="create_store",
    status_code=201,
)
async def create_store(
    data: JSONBody[NewStore], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[StoreShown]:
    """Register a store."""

    async def create(thing: UUID) -> Answer:
        change = configured.creating(thing, caller)

        async def make() -> StoreSetting:
            return await _setting(deps, change, data, None)

        return await configured.create(deps, STORE, change, data.name, make)

    return await once(request, deps, caller, create)


@get(
    "/stores/{store_id:uuid}",
    opt={"right": Right.STORES_READ},
    tags=["stores"],
    operation_id="get_store",
)
async def get_store(store_id: FromPath[UUID], deps: Deps) -> Response[StoreShown]:
    """Show one store."""
    return configured.shown(await configured.row_of(deps, STORE, str(store_id)), STORE)


@put(
    "/stores/{store_id:uuid}",
    opt={"right": Right.STORES_WRITE},
    tags=["stores"],
    operation_id="replace_store",
)
async def replace_store(
    store_id: FromPath[UUID],
    data: JSONBody[NewStore],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[StoreShown]:
    """Replace a store's settings. An absent secret keeps the stored one while the settings beside
    it stay the same. A store that holds backups stays at its place."""
    row = await configured.current(deps, STORE, str(store_id), request)
    setting = await _setting(deps, configured.changing(store_id, caller), data, row)
    await refuse_moved(deps, row, setting.store)
    return await configured.replace(deps, STORE, row, setting, data.name)


@delete(
    "/stores/{store_id:uuid}",
    opt={"right": Right.STORES_WRITE},
    tags=["stores"],
    operation_id="delete_store",
    status_code=204,
)
async def delete_store(
    store_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Forget a store that holds no backup."""
    row = await configured.current(deps, STORE, str(store_id), request)
    await _refuse_held(deps, row.id)
    await configured.remove(deps, STORE, row, caller)


async def refuse_moved(deps: Dependencies, row: Row[Any], config: PluginConfig) -> None:
    """Raise InUseError when `config` is another place than the one that holds backups."""
    if _place(config) != _place(row.store):
        await _refuse_held(deps, row.id)


def _place(config: PluginConfig) -> list[Any]:
    return [config.get(name) or "" for name in PLACE]


async def _refuse_held(deps: Dependencies, store_id: str) -> None:
    held = select(backups.c.id).where(backups.c.store_id == store_id, backups.c.status.not_in(GONE))
    copied = select(archives.c.id).where(
        archives.c.store_id == store_id, archives.c.status.not_in(("deleted", "failed"))
    )
    if await deps.read_model.one(held.union_all(copied).limit(1)) is not None:
        raise InUseError(
            "the store still holds backups",
            fix="delete its backups first, or register the other place as another store",
        )


async def _setting(
    deps: Dependencies, change: Change, data: NewStore, before: Row[Any] | None
) -> StoreSetting:
    old = Stored(before.store) if before else NOTHING
    config, schema = await accepted(deps, "store", data.store, "/store", old)
    return StoreSetting(
        **change.said_by(),
        name=data.name,
        tier=data.tier,
        region=data.region,
        quota_bytes=data.quota_bytes,
        store=await sealed(deps, f"cfg.store.{change.key}", "store", config, schema),
    )


ROUTES = [
    list_stores,
    create_store,
    get_store,
    replace_store,
    delete_store,
]
