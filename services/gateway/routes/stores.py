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
from services.gateway.errors import InputFault, InUseError, InvalidFieldsError
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByName, Cursor, Limit, NamePart, all_by_name
from services.gateway.once import Answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.plugin_configs import NOTHING, Stored, accepted, sealed
from services.gateway.references import refuse_unknown_store
from services.gateway.representations import Input, Label, Name, convert
from services.gateway.rights import Right
from shared.keys.plugins import without_secrets
from shared.keys.sealed import Sealed
from shared.messages.settings import StoreSetting
from shared.messages.values import PluginConfig, Problem
from shared.readmodel.tables import archives, backups, schedules, stores

Tier = Literal["hot", "cold"]
BytesPerSecond = Annotated[int, Meta(ge=1 << 16, le=1 << 40)]
GONE = ("deleted", "failed", "cancelled")
PLACE = ("kind", "root", "endpoint", "bucket", "prefix")
"""The settings, of whichever kind of store, that say where its objects stand."""


class NewStore(Input, frozen=True, kw_only=True):
    """A store as a caller describes it. `store` is described by `GET /plugins`.

    What is verified and has been there for `move_after_days` moves to `move_to_store_id`, a store
    of a colder tier, say. New archives can be opened with the `passphrase`, too: without the
    platform, and without its keys. Absent, it stays as it is; `without_passphrase` removes it.
    At most `run_limit` backups and restores use the store at once, the others wait (0: any number);
    each executor sends and fetches at most so many bytes a second.
    """

    name: Name
    tier: Tier = "hot"
    region: Annotated[str, Meta(max_length=64)] = ""
    quota_bytes: Annotated[int, Meta(ge=1)] | None = None
    move_after_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    move_to_store_id: Label | None = None
    run_limit: Annotated[int, Meta(ge=0, le=1000)] = 0
    upload_bytes_s: BytesPerSecond | None = None
    download_bytes_s: BytesPerSecond | None = None
    passphrase: Annotated[str, Meta(min_length=12, max_length=1024)] | None = None
    without_passphrase: bool = False
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
    move_after_days: int | None = None
    move_to_store_id: str | None = None
    run_limit: int = 0
    upload_bytes_s: int | None = None
    download_bytes_s: int | None = None
    has_passphrase: bool = False
    store: PluginConfig
    tested_at: datetime | None = None
    test_problem: Problem | None = None
    free_bytes: int | None = None
    created_at: datetime
    updated_at: datetime
    version: int


def store_of(row: Row[Any]) -> StoreShown:
    """A row as the API shows it."""
    secret = row.passphrase is not None
    return convert(
        row,
        StoreShown,
        store=without_secrets(row.store),
        has_passphrase=secret,
        run_limit=row.run_limit or 0,
    )


STORE = Noun("store", stores, "/stores", store_of)


@get("/stores", opt={"right": Right.STORES_READ}, tags=["stores"], operation_id="list_stores")
async def list_stores(
    deps: Deps,
    name: NamePart = None,
    sort: ByName = "name",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[StoreShown]:
    """List the stores by name."""
    return await all_by_name(
        deps, stores, store_of, name=name, sort=sort, limit=limit, cursor=cursor
    )


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
    """Forget a store that holds no backup, and that nothing is to be put into."""
    row = await configured.current(deps, STORE, str(store_id), request)
    await _refuse_held(deps, row.id)
    await _refuse_awaited(deps, row.id)
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


async def _refuse_awaited(deps: Dependencies, store_id: str) -> None:
    towards = select(stores.c.id).where(stores.c.move_to_store_id == store_id)
    if await deps.read_model.one(towards.limit(1)) is not None:
        raise InUseError("another store moves what is old to it", fix="change that store first")
    fed = select(schedules.c.name).where(schedules.c.targets.contains([{"store_id": store_id}]))
    named = await deps.read_model.one(fed.order_by(schedules.c.name).limit(1))
    if named is not None:
        raise InUseError(
            f"the schedule {named.name!r} puts its backups into it",
            fix="give that schedule another store first",
        )


async def _setting(
    deps: Dependencies, change: Change, data: NewStore, before: Row[Any] | None
) -> StoreSetting:
    old = Stored(before.store) if before else NOTHING
    await refuse_aimless(deps, change.key, data.move_after_days, data.move_to_store_id)
    config, schema = await accepted(deps, "store", data.store, "/store", old)
    return StoreSetting(
        **change.said_by(),
        name=data.name,
        tier=data.tier,
        region=data.region,
        quota_bytes=data.quota_bytes,
        move_after_days=data.move_after_days,
        move_to_store_id=data.move_to_store_id,
        run_limit=data.run_limit,
        upload_bytes_s=data.upload_bytes_s,
        download_bytes_s=data.download_bytes_s,
        passphrase=await _passphrase(deps, change.key, data, before),
        store=await sealed(deps, f"cfg.store.{change.key}", "store", config, schema),
    )


async def _passphrase(
    deps: Dependencies, store_id: str, data: NewStore, before: Row[Any] | None
) -> Sealed | None:
    if data.without_passphrase:
        return None
    if data.passphrase is not None:
        return await deps.vault.seal(f"cfg.store.{store_id}", "passphrase", data.passphrase)
    return Sealed(**before.passphrase) if before and before.passphrase else None


async def refuse_aimless(
    deps: Dependencies, store_id: str, after_days: int | None, towards: str | None
) -> None:
    """Raise InvalidFieldsError for a rule that leads nowhere, or back to where it began."""
    if (after_days is None) != (towards is None):
        fault = InputFault("/move_to_store_id", "belongs together with move_after_days")
        raise InvalidFieldsError("a rule for moving says when and where to", [fault])
    seen = {store_id}
    while towards is not None:
        if towards in seen:
            fault = InputFault("/move_to_store_id", "leads back to where it began")
            raise InvalidFieldsError("the stores would move in a circle", [fault])
        seen.add(towards)
        await refuse_unknown_store(deps, towards)
        query = select(stores.c.move_to_store_id).where(stores.c.id == towards)
        row = await deps.read_model.one(query)
        towards = row.move_to_store_id if row else None


ROUTES = [
    list_stores,
    create_store,
    get_store,
    replace_store,
    delete_store,
]
