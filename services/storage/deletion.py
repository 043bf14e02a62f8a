"""Deleting what stands under one attempt's prefix: the manifest first, unfinished uploads last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from shared.errors import PlatformError
from shared.messages.values import StoredObject
from shared.stores.base import ObjectInfo, Store


class StrangePrefixError(PlatformError):
    """A fact names a prefix that its attempt cannot have; nothing was deleted."""

    code = "storage.strange_prefix"
    default_fix = "find out which worker said so: only `<backup id>/<attempt>` is an attempt's own"


def folder_of(backup_id: UUID, number: int, prefix: str) -> str:
    """The attempt's own folder in the store; StrangePrefixError if `prefix` means another."""
    own = f"{backup_id}/{number}"
    if prefix.removesuffix("/") != own:
        raise StrangePrefixError(f"attempt {number} of backup {backup_id} names another's prefix")
    return own


async def clear(store: Store, folder: str, recorded: Sequence[StoredObject] = ()) -> int:
    """Make sure that nothing is left under `folder`; returns the bytes this freed.

    Safe to repeat after a crash: with the objects `recorded` when the archive was complete, a
    folder without its manifest was begun before, and what is gone by now counts as well.
    """
    found = [info async for info in store.list(folder)]
    for info in sorted(found, key=lambda one: (_name(one) != "manifest", one.key)):
        await store.delete(info.key)
    await store.abort_uploads(folder, timedelta(0))
    return sum(info.size for info in found) + _freed_before({*map(_name, found)}, recorded)


def _freed_before(names: set[str], recorded: Sequence[StoredObject]) -> int:
    if "manifest" in names:
        return 0
    return sum(one.size_bytes for one in recorded if one.name not in names)


def _name(info: ObjectInfo) -> str:
    return info.key.rsplit("/", 1)[-1]
