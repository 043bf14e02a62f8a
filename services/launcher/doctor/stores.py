"""Each store: does it take an object and give it back, and how full is it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from sqlalchemy import func, select

from services.launcher.doctor.findings import Finding, bad, doubtful, well
from services.launcher.doctor.opened import Opened, Settings
from shared.errors import PlatformError
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import archives, backups, stores
from shared.readmodel.tables.backups import COPIED, STANDING
from shared.stores import Store, open_store
from shared.stores.base import StoreUnreachableError
from shared.stores.reach import require_permitted

WITHIN_S = 20.0
NEARLY_FULL_PERCENT = 80
LITTLE_BYTES = 1 << 30


async def each_store(settings: Settings, model: ReadModel) -> AsyncIterator[Finding]:
    """Two findings for each: a small object goes in, comes back equal and goes; and the room."""
    try:
        async for one in settings.stores():
            yield await _works(one)
            yield await _room(one, model)
    except PlatformError as error:  # a secret that cannot be opened
        yield bad("stores", error.cause, error.fix)


async def _works(one: Opened) -> Finding:
    about = f"store {one.name}"
    try:
        async with asyncio.timeout(WITHIN_S):
            store = await _opened(one)
            await store.test()
            free = await store.free_bytes()
    except TimeoutError:
        error: PlatformError = StoreUnreachableError("the store does not answer")
        return bad(about, error.cause, error.fix)
    except PlatformError as problem:
        return bad(about, problem.cause, problem.fix)
    if free is not None and free < LITTLE_BYTES:
        fix = "free space there, or move backups to another store"
        return doubtful(about, f"only {free >> 20} MiB are free", fix)
    return well(about, "took a test object, gave it back, and deleted it")


async def _opened(one: Opened) -> Store:
    store = open_store(msgspec.json.encode(one.config))
    await require_permitted(store, allow_loopback=True)  # as on this machine every service may
    return store


async def _room(one: Opened, model: ReadModel) -> Finding:
    own = select(func.coalesce(func.sum(backups.c.stored_bytes), 0)).where(
        backups.c.store_id == one.id, backups.c.status.in_(STANDING)
    )
    copied = select(func.coalesce(func.sum(archives.c.stored_bytes), 0)).where(
        archives.c.store_id == one.id, archives.c.status.in_(COPIED)
    )
    query = select(
        (own.scalar_subquery() + copied.scalar_subquery()).label("held"), stores.c.quota_bytes
    ).where(stores.c.id == one.id)
    row = await model.one(query)
    return used(one.name, int(row.held) if row else 0, row.quota_bytes if row else None)


def used(name: str, held: int, quota: int | None) -> Finding:
    """What a store holds, of what it may."""
    about = f"quota of {name}"
    if not quota:
        return well(about, f"none; {held} bytes are held")
    percent = 100 * held / quota
    says = f"{percent:.0f} % of {quota} bytes"
    fix = "raise the quota, delete backups, or keep fewer of them"
    if percent >= 100:
        return bad(about, f"{says}: new backups wait or are refused", fix)
    return doubtful(about, says, fix) if percent >= NEARLY_FULL_PERCENT else well(about, says)
