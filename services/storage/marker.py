"""Marks a store, so that it is told from an empty folder where it is not mounted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from uuid import UUID

from services.storage.scan import parsed
from shared.stores.base import NoSpaceError, ObjectExistsError, Store
from shared.stores.marker import NotMountedError, marker_key, require_marked

_CONTENT = b"Holdfast keeps archives here. Without this file it judges and deletes nothing.\n"

Standing = Callable[[str], Awaitable[set[UUID]]]
"""The backups that completed in the store with this id and were not deleted since."""


async def mark(store: Store, store_id: str, standing: Standing) -> None:
    """Make sure that the marker stands there; raises NotMountedError.

    It is only written where nothing can be lost (the log knows of no archive there), or where an
    archive that the log knows of is found.
    """
    with suppress(NotMountedError):
        return await require_marked(store, store_id)
    backups = await standing(store_id)
    if backups and not await _holds_any(store, backups):
        return await require_marked(store, store_id)
    # A full store is marked once deletions made room: those must not wait for it.
    with suppress(ObjectExistsError, NoSpaceError):
        await store.put(marker_key(store_id), _once(_CONTENT))
    return None


async def _holds_any(store: Store, backups: set[UUID]) -> bool:
    async for info in store.list(""):
        folder = parsed(info.key)
        if folder is not None and folder[0] in backups:
            return True
    return False


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
