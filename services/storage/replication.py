"""One archive from one store into another: every byte is compared on its way and read back."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from services.storage.verification import Written, manifest_of, read_again
from shared.archive.envelope import Envelope
from shared.archive.envelopes import Sealed, newest_envelope, old_envelopes, require_envelope
from shared.archive.errors import ArchiveError
from shared.archive.manifest import ObjectRecord
from shared.archive.objects import read_small, verified
from shared.stores.base import ObjectExistsError, Store


class Replica(NamedTuple):
    """A copy: its bytes, and its envelope."""

    bytes: int
    envelope: Sealed


async def replicate(source: Store, target: Store, folder: str, expected: Written) -> Replica:
    """Copy the archive at `folder`, the manifest last, and read it back.

    What an earlier try left is taken over when it is right. A few MiB in memory at a time. Raises
    an ArchiveError when the source is damaged, a StoreError when a store cannot.
    """
    manifest, body = await manifest_of(source, folder, expected.manifest_sha256)
    await require_envelope(source, folder, expected.envelopes)
    for record in body.objects:
        await _object(source, target, folder, record)
    name, envelope = await newest_envelope(source, folder)
    await _small(target, f"{folder}/{name}", envelope)
    for older in await old_envelopes(target, folder):  # of an earlier try
        await target.delete(older)
    await _small(target, f"{folder}/manifest", manifest)
    number, sha256 = int(name.rpartition(".")[2]), hashlib.sha256(envelope).hexdigest()
    there = Written(manifest_sha256=expected.manifest_sha256, envelopes={number: sha256})
    count = await read_again(target, folder, there)
    return Replica(count, Sealed(number, Envelope.decode(envelope).recipients, sha256))


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
