"""Reads the dump of an incremental: every archive of its chain forward, once, by ranged reads."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from shared.archive.chain import Chain, Link, Member
from shared.archive.codecs import Codec, codec_named
from shared.archive.errors import TrailerMismatchError, TruncatedError, UnsupportedError
from shared.archive.frames import (
    FRAME_BYTES,
    MAX_FRAME_BYTES,
    TRAILER_BYTES,
    ContentHeader,
    Preamble,
    Trailer,
    decode_header,
)
from shared.archive.index import Frame, Run
from shared.archive.keys import Trust
from shared.archive.reader import read_archive

_AHEAD = 3  # frames being unpacked while another is given out
_LEAST, _MOST = 128 << 10, 2 << 20
_ALL = 32 << 20
"""Bytes read ahead of all archives of a chain together."""
_HEADER = (64 << 10) + 4

_Slice = tuple["asyncio.Future[bytes]", int, int]


async def read_dump(links: Sequence[Link], trusted: Trust) -> AsyncGenerator[bytes, None]:
    """The raw dump of `links[0]`, whatever it builds on; the others are those of its chain.

    **The dump is complete only if the iteration ends without an exception.** A full backup is
    read object by object, so that every byte's hash is compared with the manifest, too.
    """
    if len(links) == 1:
        first = links[0]
        dump = read_archive(
            first.store, first.prefix, archive_key=first.archive_key, trusted=trusted
        )
    else:
        dump = read_chain(await Chain.open(links, trusted))
    async with aclosing(dump):
        async for piece in dump:
            yield piece


async def read_chain(chain: Chain) -> AsyncGenerator[bytes, None]:
    """The raw dump of the chain's newest archive, in order, in pieces of at most one frame.

    Memory is bounded by the number of archives. **The dump is complete only if the iteration
    ends without an exception**: its length and hash are compared with the trailer last.
    """
    sources = [await _Source.open(one, len(chain.members)) for one in chain.members]
    digest, length = hashlib.sha256(), 0
    try:
        async with aclosing(_pieces(chain.members[0], sources)) as pieces:
            async for piece in _joined(pieces):
                await asyncio.to_thread(digest.update, piece)
                length += len(piece)
                yield piece
        trailer = await sources[0].trailer()
    finally:
        for source in sources:
            await source.close()
    if (trailer.raw_length, trailer.raw_sha256) != (length, digest.digest()):
        raise TrailerMismatchError("the dump is not what the archive's trailer says")


async def _joined(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger pieces: a chain has many small stretches."""
    waiting, length = list[bytes](), 0
    async for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= FRAME_BYTES:
            yield b"".join(waiting)
            waiting, length = [], 0
    yield b"".join(waiting)


async def _pieces(first: Member, sources: Sequence[_Source]) -> AsyncGenerator[bytes, None]:
    waiting: deque[_Slice] = deque()
    async with aclosing(first.rows(Run)) as runs, aclosing(_slices(runs, sources)) as slices:
        try:
            async for one in slices:
                waiting.append(one)
                if len(waiting) > _AHEAD:
                    yield await _cut(waiting.popleft())
            while waiting:
                yield await _cut(waiting.popleft())
        finally:
            for task, _, _ in waiting:
                task.cancel()
            await asyncio.gather(*(task for task, _, _ in waiting), return_exceptions=True)


async def _cut(one: _Slice) -> bytes:
    unpacking, start, end = one
    return (await asyncio.shield(unpacking))[start:end]


async def _slices(
    runs: AsyncIterator[Sequence[Run]], sources: Sequence[_Source]
) -> AsyncGenerator[_Slice, None]:
    async for segment in runs:
        for run in segment:
            if run.archive >= len(sources):
                raise TrailerMismatchError("the index refers to an archive that it does not name")
            async for one in sources[run.archive].slices(run.offset, run.length):
                yield one


class _Source:
    """One archive's frames, read forward."""

    def __init__(self, member: Member, header: ContentHeader, begin: int, members: int) -> None:
        self._data, self._frame_bytes = member.data, header.frame_bytes
        self._codec: Codec = codec_named(header.codec)
        self._tables = member.rows(Frame)
        self._rows: Sequence[Frame] = ()
        self._at = 0
        self._packed = begin
        """Where the next frame's packed bytes begin."""
        self._raw = 0
        """Where the next frame's raw bytes begin; those of the present one end there."""
        self._frame: asyncio.Future[bytes] | None = None
        self._begin = 0
        self._ahead = _Ahead(member, max(_LEAST, min(_MOST, _ALL // members // 2)))

    @classmethod
    async def open(cls, member: Member, members: int) -> _Source:
        start = await member.data.read(0, _HEADER)
        found = Preamble().feed(start)
        if found is None:
            raise TruncatedError("the archive ends inside its inner header")
        header = decode_header(found[0], ContentHeader)
        if header.frame_bytes > MAX_FRAME_BYTES:
            raise UnsupportedError("the archive's frames are larger than this release reads")
        return cls(member, header, len(start) - len(found[1]), members)

    async def slices(self, offset: int, length: int) -> AsyncIterator[_Slice]:
        """The stretch of this archive's raw bytes, as parts of frames that are being unpacked."""
        end = offset + length
        while offset < end:
            if offset < self._begin:
                raise TrailerMismatchError("a run of the index goes backwards")
            while self._frame is None or offset >= self._raw:
                await self._advance(offset)
            until = min(end, self._raw)
            yield self._frame, offset - self._begin, until - self._begin
            offset = until

    async def _advance(self, offset: int) -> None:
        """To the next frame; it is read only if it reaches beyond `offset`."""
        row = await self._next()
        if row.raw_length > self._frame_bytes or row.packed_length > 2 * self._frame_bytes + 1024:
            raise TrailerMismatchError("the frame table holds a frame larger than any can be")
        self._begin, self._raw = self._raw, self._raw + row.raw_length
        packed_at, self._packed = self._packed, self._packed + row.packed_length
        self._frame = None
        if offset < self._raw:
            packed = await self._ahead.take(packed_at, row.packed_length)
            unpacking = asyncio.to_thread(self._codec.unpack, packed, row.raw_length)
            self._frame = asyncio.ensure_future(unpacking)

    async def _next(self) -> Frame:
        while self._at >= len(self._rows):
            rows = await anext(self._tables, None)
            if rows is None:
                raise TrailerMismatchError("the index refers to more than an archive holds")
            self._rows, self._at = rows, 0
        self._at += 1
        return self._rows[self._at - 1]

    async def trailer(self) -> Trailer:
        return Trailer.decode(
            await self._data.read(self._data.length - TRAILER_BYTES, TRAILER_BYTES)
        )

    async def close(self) -> None:
        await self._tables.aclose()
        await self._ahead.close()
        if self._frame is not None:
            await asyncio.gather(self._frame, return_exceptions=True)


class _Ahead:
    """Forward reads of an object: the next stretch is under way while one is used.

    The stretches grow while the reads follow each other, so a small archive costs little.
    """

    def __init__(self, member: Member, most: int) -> None:
        self._data, self._most = member.data, most
        self._stretch = _LEAST
        self._start, self._bytes = 0, b""
        self._coming: tuple[int, asyncio.Task[bytes]] | None = None

    async def take(self, start: int, length: int) -> bytes:
        """Exactly so many bytes, from where the last ones ended or further on."""
        taken = []
        while length:
            if not self._start <= start < self._start + len(self._bytes):
                await self._move(start)
            at = start - self._start
            part = self._bytes[at : at + length]
            taken.append(part)
            start, length = start + len(part), length - len(part)
        return b"".join(taken)

    async def _move(self, start: int) -> None:
        at, coming = self._coming or (-1, None)
        self._coming = None
        if coming is None or not at <= start < at + self._stretch:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            self._stretch = _LEAST
            at, coming = start, asyncio.create_task(self._data.read(start, self._stretch))
        self._start, self._bytes = at, await coming
        if not self._start <= start < self._start + len(self._bytes):
            raise TruncatedError("the archive ends inside a frame")
        self._stretch = min(2 * self._stretch, self._most)
        behind = at + len(self._bytes)
        if behind < self._data.length:
            self._coming = behind, asyncio.create_task(self._data.read(behind, self._stretch))

    async def close(self) -> None:
        if self._coming is not None:
            self._coming[1].cancel()
            await asyncio.gather(self._coming[1], return_exceptions=True)
