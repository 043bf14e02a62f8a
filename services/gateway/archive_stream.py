"""An archive as one stream of known length: a tar of its objects, or the dump in it."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from shared.archive.chain import Link
from shared.archive.chain_reader import read_dump
from shared.archive.envelopes import newest_envelope
from shared.archive.errors import ObjectChangedError
from shared.archive.keys import Trust
from shared.archive.manifest import Body, ObjectRecord
from shared.archive.objects import load_manifest, read_small, require_sizes, verified
from shared.messages.values import ArchiveFacts
from shared.stores import Store

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One archive in its store, as the log knows it, and whose signature is believed."""

    store: Store
    prefix: str
    archive: ArchiveFacts
    trusted: Trust


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: exactly `size` bytes, or the stream breaks off. It can be read once."""

    size: int
    pieces: AsyncGenerator[bytes, None]


async def encrypted(source: Source) -> Content:
    """A tar of the archive's objects under `<backup id>/<attempt>/`, the manifest last.

    The manifest must be the one that the log names, and every object there in full, before the
    first byte; each object's hash is checked on the way. Raises ArchiveError or StoreError.
    """
    body, manifest = await _believed(source)
    name, envelope = await newest_envelope(source.store, source.prefix)
    small = {name: envelope, "manifest": manifest}
    sizes = [record.size for record in body.objects] + [len(one) for one in small.values()]
    size = sum(_BLOCK + _padded(one) for one in sizes) + len(_END)
    return Content(size=size, pieces=_tar(source, body, small))


async def decrypted(source: Source, links: Sequence[Link]) -> Content:
    """The raw dump, checked as a restore checks it; `links` are the archive and those it builds
    on. Raises ArchiveError or StoreError."""
    await _believed(source)
    return Content(size=source.archive.raw_bytes, pieces=read_dump(links, source.trusted))


async def _believed(source: Source) -> tuple[Body, bytes]:
    manifest = await read_small(source.store, f"{source.prefix}/manifest")
    if hashlib.sha256(manifest).hexdigest() != source.archive.manifest_sha256:
        raise ObjectChangedError("the manifest is not the one that was written for this backup")
    body = await load_manifest(source.store, source.prefix, source.trusted)
    await require_sizes(source.store, source.prefix, body)
    return body, manifest


async def _tar(source: Source, body: Body, small: dict[str, bytes]) -> AsyncGenerator[bytes, None]:
    folder = "/".join(source.prefix.split("/")[-2:])
    at = int(source.archive.taken_at.timestamp())
    for record in body.objects:
        yield _header(f"{folder}/{record.name}", record.size, at)
        async with aclosing(_pieces(source, record)) as pieces:
            async for piece in pieces:
                yield piece
    for name, content in small.items():
        yield _header(f"{folder}/{name}", len(content), at)
        yield content + bytes(_padded(len(content)) - len(content))
    yield _END


async def _pieces(source: Source, record: ObjectRecord) -> AsyncGenerator[bytes, None]:
    async with aclosing(verified(source.store, source.prefix, record)) as pieces:
        async for piece in pieces:
            yield piece
    yield bytes(_padded(record.size) - record.size)


def _header(name: str, size: int, at: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, at, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


async def exactly(content: Content) -> AsyncIterator[bytes]:
    """The pieces; raises ObjectChangedError where they are not as many as was promised."""
    sent = 0
    async with aclosing(content.pieces) as pieces:
        async for piece in pieces:
            sent += len(piece)
            if sent > content.size:
                raise ObjectChangedError("the archive holds more than the log says")
            if piece:
                yield piece
    if sent != content.size:
        raise ObjectChangedError("the archive holds less than the log says")
