"""Reading an archive again: every object as long as, and with the hash that, its manifest says."""

from __future__ import annotations

import hashlib
from contextlib import aclosing

import msgspec

from shared.archive.errors import ArchiveError, ObjectChangedError, TruncatedError
from shared.archive.manifest import Body, Manifest
from shared.archive.objects import read_small, verified
from shared.pace import UNPACED, Pace
from shared.stores.base import ObjectDamagedError, ObjectNotFoundError, Store


async def read_again(store: Store, folder: str, manifest_sha256: str, pace: Pace = UNPACED) -> int:
    """Read all of the archive, a few MiB in memory at a time; returns the bytes read.

    The manifest's hash stands in the log, so no key and no signature is needed. Raises an
    ArchiveError when the archive is damaged, another StoreError when the store cannot say.
    """
    try:
        manifest, body = await manifest_of(store, folder, manifest_sha256)
        await _require_envelope(store, folder)
        return len(manifest) + await _read_objects(store, folder, body, pace)
    except ObjectDamagedError as error:
        raise ObjectChangedError("the store itself says that an object is damaged") from error


async def manifest_of(store: Store, folder: str, manifest_sha256: str) -> tuple[bytes, Body]:
    """The manifest that the backup completed with; raises an ArchiveError for any other."""
    manifest = await read_small(store, f"{folder}/manifest")
    return manifest, _body(manifest, manifest_sha256)


def _body(manifest: bytes, manifest_sha256: str) -> Body:
    if hashlib.sha256(manifest).hexdigest() != manifest_sha256:
        raise ObjectChangedError("`manifest` is not the one that the backup completed with")
    try:
        return msgspec.json.decode(manifest, type=Manifest).body
    except msgspec.DecodeError as error:
        raise ArchiveError("the manifest cannot be read by this version") from error


async def _require_envelope(store: Store, folder: str) -> None:
    """Without one no key opens the archive; its bytes are proven by whoever opens it."""
    async for info in store.list(folder):
        if info.key.removeprefix(f"{folder}/").startswith("envelope.") and info.size:
            return
    raise TruncatedError("the archive has no `envelope`")


async def _read_objects(store: Store, folder: str, body: Body, pace: Pace) -> int:
    total = 0
    for record in body.objects:
        try:
            async with aclosing(verified(store, folder, record)) as pieces:
                async for piece in pieces:
                    total += len(piece)
                    await pace.take(len(piece))
        except ObjectNotFoundError as error:
            raise TruncatedError(f"`{record.name}` is missing") from error
    return total
