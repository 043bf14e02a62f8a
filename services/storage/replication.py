"""One archive from one store into another: every byte is compared on its way and read back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from services.storage.verification import manifest_of, read_again
from shared.archive.envelope import Envelope
from shared.archive.envelopes import newest_envelope, old_envelopes
from shared.archive.errors import ArchiveError
from shared.archive.manifest import ObjectRecord
from shared.archive.objects import read_small, verified
from shared.stores.base import ObjectExistsError, Store


class Replica(NamedTuple):
    """A copy: its bytes, and the ids of the keys that its envelope is sealed to."""

    bytes: int
    recipients: tuple[str, ...]


async def replicate(source: Store, target: Store, folder: str, manifest_sha256: str) -> Replica:
    """Copy the archive at `folder`, the manifest last, and read it back.

    What an earlier try left is taken over when it is right. A few MiB in memory at a time. Raises
    an ArchiveError when the source is damaged, a StoreError when a store cannot.
    """
    manifest, body = await manifest_of(source, folder, manifest_sha256)
    for record in body.objects:
        await _object(source, target, folder, record)
    name, envelope = await newest_envelope(source, folder)
    await _small(target, f"{folder}/{name}", envelope)
    for older in await old_envelopes(target, folder):  # of an earlier try
        await target.delete(older)
    await _small(target, f"{folder}/manifest", manifest)
    count = await read_again(target, folder, manifest_sha256)
    return Replica(count, Envelope.decode(envelope).recipients)


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


async def _small(store: Store, key: str, content: bytes) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield content

    try:
        await store.put(key, once())
    except ObjectExistsError:
        if await read_small(store, key) != content:
            await store.delete(key)
            await store.put(key, once())
