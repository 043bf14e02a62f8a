"""The object that tells a store from an empty folder where the store is not mounted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from uuid import UUID

from services.storage.scan import MARKERS, parsed
from shared.stores.base import (
    NoSpaceError,
    ObjectExistsError,
    ObjectNotFoundError,
    Store,
    StoreError,
)

_CONTENT = b"Holdfast keeps archives here. Without this file it judges and deletes nothing.\n"

Standing = Callable[[str], Awaitable[set[UUID]]]
"""The backups that completed in the store with this id and were not deleted since."""


class NotMountedError(StoreError):
    """What answers is not the store that was written to; nothing there was judged or deleted."""

    code = "store.not_mounted"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retryable = True


def marker_key(store_id: str) -> str:
    """The marker's object. Two settings of one place have one each."""
    return f"{MARKERS}/{store_id}"


async def _require_marked(store: Store, store_id: str) -> None:
    try:
        await store.size(marker_key(store_id))
    except ObjectNotFoundError as error:
        raise NotMountedError(
            f"the store does not hold `{marker_key(store_id)}`",
            fix="mount the store where its settings say; if it is there, create that object anew",
        ) from error


async def mark(store: Store, store_id: str, standing: Standing) -> None:
    """Make sure that the marker stands there; raises NotMountedError.

    It is only written where nothing can be lost (the log knows of no archive there), or where an
    archive that the log knows of is found.
    """
    with suppress(NotMountedError):
        return await _require_marked(store, store_id)
    backups = await standing(store_id)
    if backups and not await _holds_any(store, backups):
        return await _require_marked(store, store_id)
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
