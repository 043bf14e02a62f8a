"""An archive's objects in a store: the manifest, sizes and hashes, read without any key."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator

import msgspec

from shared.archive.errors import ObjectChangedError, TruncatedError, UntrustedError
from shared.archive.keys import Trust
from shared.archive.manifest import Body, ObjectRecord, read_manifest
from shared.stores.base import ObjectNotFoundError, Store

_MAX_SMALL = 16 << 20


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of stored bytes found: names of the objects that are not as signed."""

    body: Body
    bytes_read: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.damaged and not self.missing


async def load_manifest(store: Store, prefix: str, trusted: Trust) -> Body:
    """The believed manifest of `<backup id>/<attempt>`.

    `TruncatedError` without one (an attempt without a manifest is no backup); `UntrustedError` if
    it is not believed or belongs to another folder.
    """
    body = read_manifest(await read_small(store, f"{prefix}/manifest"), trusted)
    if prefix.split("/")[-2:] != [body.backup_id, body.attempt]:
        raise UntrustedError(
            "the manifest belongs to another archive",
            fix="an archive's folder must keep its name <backup id>/<attempt>",
        )
    return body


async def verify_objects(store: Store, prefix: str, trusted: Trust) -> VerifyReport:
    """Read every immutable object and compare it with the manifest. Needs no decryption key."""
    body = await load_manifest(store, prefix, trusted)
    bytes_read, damaged, missing = 0, [], []
    for record in body.objects:
        try:
            async for piece in verified(store, prefix, record):
                bytes_read += len(piece)
        except ObjectNotFoundError:
            missing.append(record.name)
        except (ObjectChangedError, TruncatedError):
            damaged.append(record.name)
    return VerifyReport(
        body=body, bytes_read=bytes_read, damaged=tuple(damaged), missing=tuple(missing)
    )


async def require_sizes(store: Store, prefix: str, body: Body) -> None:
    """Before anything is read: every object is there and as long as the manifest says."""
    for record in body.objects:
        try:
            size = await store.size(f"{prefix}/{record.name}")
        except ObjectNotFoundError as error:
            raise TruncatedError(f"`{record.name}` is missing") from error
        if size < record.size:
            raise TruncatedError(f"`{record.name}` is shorter than the manifest says")
        if size > record.size:
            raise ObjectChangedError(f"`{record.name}` is longer than the manifest says")


async def verified(store: Store, prefix: str, record: ObjectRecord) -> AsyncGenerator[bytes, None]:
    """The object's bytes; raises before it ends if they are not those of the manifest."""
    digest, size = hashlib.sha256(), 0
    async for piece in store.get(f"{prefix}/{record.name}"):
        await asyncio.to_thread(digest.update, piece)
        size += len(piece)
        yield piece
    if size < record.size:
        raise TruncatedError(f"`{record.name}` is shorter than the manifest says")
    if digest.hexdigest() != record.sha256:
        raise ObjectChangedError(f"`{record.name}` is not what the manifest says")


async def read_small(store: Store, key: str) -> bytes:
    """A whole manifest or envelope; `TruncatedError` without one."""
    content = b""
    try:
        async for piece in store.get(key, 0, _MAX_SMALL):
            content += piece
    except ObjectNotFoundError as error:
        name = key.rsplit("/", 1)[-1]
        raise TruncatedError(f"the archive has no `{name}`") from error
    return content
