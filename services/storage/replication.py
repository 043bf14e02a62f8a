"""One archive from one store into another: every byte is compared on its way and read back."""

from __future__ import annotations

from collections.abc import AsyncIterator

from services.storage.verification import manifest_of, read_again
from shared.archive.errors import ArchiveError, TruncatedError
from shared.archive.manifest import ObjectRecord
from shared.archive.objects import read_small, verified
from shared.stores.base import ObjectExistsError, Store


async def replicate(source: Store, target: Store, folder: str, manifest_sha256: str) -> int:
    """Copy the archive at `folder`, the manifest last, and read it back; returns its bytes.

    What an earlier try left is taken over when it is right. A few MiB in memory at a time. Raises
    an ArchiveError when the source is damaged, a StoreError when a store cannot.
    """
    manifest, body = await manifest_of(source, folder, manifest_sha256)
    for record in body.objects:
        await _object(source, target, folder, record)
    newest = await _newest_envelope(source, folder)
    await _small(target, newest, await read_small(source, newest))
    await _small(target, f"{folder}/manifest", manifest)
    return await read_again(target, folder, manifest_sha256)


async def _object(source: Store, target: Store, folder: str, record: ObjectRecord) -> None:
    key = f"{folder}/{record.name}"
    try:
        await target.put(key, verified(source, folder, record))
    except ObjectExistsError:
        if not await _is_right(target, folder, record):
            await target.delete(key)
            await target.put(key, verified(source, folder, record))


async def _is_right(store: Store, folder: str, record: ObjectRecord) -> bool:
    try:
        async for _ in verified(store, folder, record):
            pass
    except ArchiveError:
        return False
    return True


async def _newest_envelope(store: Store, folder: str) -> str:
    found: dict[int, str] = {}
    async for info in store.list(folder):
        name = info.key.removeprefix(f"{folder}/")
        number = name.removeprefix("envelope.")
        if name != number and number.isdecimal():
            found[int(number)] = info.key
    if not found:
        raise TruncatedError("the archive has no `envelope`")
    return found[max(found)]


async def _small(store: Store, key: str, content: bytes) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield content

    try:
        await store.put(key, once())
    except ObjectExistsError:
        if await read_small(store, key) != content:
            await store.delete(key)
            await store.put(key, once())
