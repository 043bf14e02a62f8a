"""Reads an archive from a store: believes the manifest, checks every byte, gives out the dump."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from shared.archive.codecs import Codec, codec_named
from shared.archive.envelopes import (
    old_envelopes,
    open_envelope,
    open_envelope_with_passphrase,
    rotate_envelope,
)
from shared.archive.errors import (
    ParentMissingError,
    TrailerMismatchError,
    TruncatedError,
    UnsupportedError,
)
from shared.archive.frames import (
    MAX_FRAME_BYTES,
    TRAILER_BYTES,
    ContentHeader,
    Preamble,
    Trailer,
    decode_header,
)
from shared.archive.header import Role
from shared.archive.index import Frame, IndexReader
from shared.archive.keys import Trust
from shared.archive.manifest import Body
from shared.archive.objects import (
    VerifyReport,
    load_manifest,
    require_sizes,
    verified,
    verify_objects,
)
from shared.archive.sealing import OpeningStream
from shared.stores.base import Store

_AHEAD = 2  # frames being unpacked while another is given out


async def read_archive(
    store: Store, prefix: str, *, archive_key: bytes, trusted: Trust
) -> AsyncGenerator[bytes, None]:
    """The raw dump, in order, in pieces of one frame (1 MiB).

    `prefix` is `<backup id>/<attempt>`. Manifest, sizes, hashes, every chunk and frame and at the
    end the trailer are checked; a problem raises an `ArchiveError`, the last ones only after the
    last byte: **the dump is complete only if the iteration ends without an exception.**
    """
    body = await load_manifest(store, prefix, trusted)
    await require_sizes(store, prefix, body)
    data = _opened(store, prefix, body, Role.DATA, archive_key)
    tables = _frames(store, prefix, body, archive_key)
    async with aclosing(data), aclosing(tables):
        content = _Content(data)
        header = decode_header(await content.preamble(), ContentHeader)
        if header.frame_bytes > MAX_FRAME_BYTES:
            raise UnsupportedError("the archive's frames are larger than this release reads")
        async for raw in _unpacked(content, header, tables):
            yield raw


async def read_log(
    store: Store, prefix: str, *, archive_key: bytes, trusted: Trust, limit: int = 64 << 20
) -> bytes:
    """The finished run's log, at most `limit` bytes of it packed; checked like the data."""
    body = await load_manifest(store, prefix, trusted)
    if body.find("log").size > limit:
        raise UnsupportedError("the log is larger than may be read at once")
    async with aclosing(_opened(store, prefix, body, Role.LOG, archive_key)) as opened:
        content = _Content(opened)
        header = decode_header(await content.preamble(), ContentHeader)
        rest = await content.rest(2 * limit)
    trailer = Trailer.decode(rest[-TRAILER_BYTES:])
    raw = await asyncio.to_thread(
        codec_named(header.codec).unpack_all, rest[:-TRAILER_BYTES], trailer.raw_length
    )
    if hashlib.sha256(raw).digest() != trailer.raw_sha256:
        raise TrailerMismatchError("the log is not what its trailer says")
    return raw


async def _unpacked(
    content: _Content, header: ContentHeader, tables: AsyncIterator[Frame]
) -> AsyncIterator[bytes]:
    codec = codec_named(header.codec)
    digest = hashlib.sha256()
    raw_length = packed_length = 0
    async for raw, packed in _blocks(content, codec, header.frame_bytes, tables):
        await asyncio.to_thread(digest.update, raw)
        raw_length += len(raw)
        packed_length += packed
        yield raw
    trailer = Trailer.decode(await content.rest(TRAILER_BYTES))
    if (trailer.raw_length, trailer.packed_length, trailer.raw_sha256) != (
        raw_length,
        packed_length,
        digest.digest(),
    ):
        raise TrailerMismatchError("the dump is not what the archive's trailer says")


async def _blocks(
    content: _Content, codec: Codec, frame_bytes: int, tables: AsyncIterator[Frame]
) -> AsyncIterator[tuple[bytes, int]]:
    """Each frame's raw bytes and packed length, unpacked in threads, in order."""
    under_way: deque[tuple[asyncio.Task[bytes], int]] = deque()
    try:
        async for frame in tables:
            if frame.raw_length > frame_bytes or frame.packed_length > 2 * frame_bytes + 1024:
                raise TrailerMismatchError("the frame table holds a frame larger than any can be")
            packed = await content.take(frame.packed_length)
            unpacking = asyncio.to_thread(codec.unpack, packed, frame.raw_length)
            under_way.append((asyncio.create_task(unpacking), frame.packed_length))
            if len(under_way) > _AHEAD:
                task, length = under_way.popleft()
                yield await task, length
        while under_way:
            task, length = under_way.popleft()
            yield await task, length
    finally:
        for task, _ in under_way:
            task.cancel()
        await asyncio.gather(*(task for task, _ in under_way), return_exceptions=True)


async def _frames(
    store: Store, prefix: str, body: Body, archive_key: bytes
) -> AsyncGenerator[Frame, None]:
    """The rows of the frame table; all of the index is read and checked on the way."""
    reader = IndexReader({Frame})
    async with aclosing(_opened(store, prefix, body, Role.INDEX, archive_key)) as opened:
        async for plain in opened:
            segments = await asyncio.to_thread(lambda data: [*reader.feed(data)], plain)
            if reader.header is not None and len(reader.header.archives) != 1:
                raise ParentMissingError("this archive builds on another, which is not at hand")
            for segment in segments:
                if isinstance(segment, list):
                    for row in segment:
                        if isinstance(row, Frame):
                            yield row
    reader.finish()


async def _opened(
    store: Store, prefix: str, body: Body, role: Role, archive_key: bytes
) -> AsyncGenerator[bytes, None]:
    """The decrypted content of one encrypted object, volumes joined, hashes checked."""
    records = body.volumes if role is Role.DATA else (body.find(role),)
    stream = OpeningStream(archive_key, role, body.backup_id)
    for record in records:
        async with aclosing(verified(store, prefix, record)) as pieces:
            async for piece in pieces:
                yield await asyncio.to_thread(stream.update, piece)
    yield stream.finish()


class _Content:
    """A decrypted stream, taken in exact lengths."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._ahead = bytearray()

    async def preamble(self) -> bytes:
        """The inner header's JSON."""
        preamble = Preamble()
        async for piece in self._pieces:
            found = preamble.feed(piece)
            if found is not None:
                self._ahead += found[1]
                return found[0]
        raise TruncatedError("the archive ends inside its inner header")

    async def take(self, length: int) -> bytes:
        while len(self._ahead) < length:
            piece = await anext(self._pieces, None)
            if piece is None:
                raise TruncatedError("the archive ends inside a frame")
            self._ahead += piece
        taken = bytes(memoryview(self._ahead)[:length])
        del self._ahead[:length]
        return taken

    async def rest(self, limit: int) -> bytes:
        """Everything that is left, which may be no more than `limit` bytes."""
        async for piece in self._pieces:
            self._ahead += piece
            if len(self._ahead) > limit:
                raise TrailerMismatchError("the archive goes on where its trailer should be")
        return bytes(self._ahead)


__all__ = [
    "VerifyReport",
    "load_manifest",
    "old_envelopes",
    "open_envelope",
    "open_envelope_with_passphrase",
    "read_archive",
    "read_log",
    "rotate_envelope",
    "verify_objects",
]
