"""Ranged reads of an encrypted object: any stretch of its content, without what lies before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.archive.errors import TruncatedError
from shared.archive.header import HEADER_BYTES, FileHeader, Role
from shared.archive.manifest import Body, ObjectRecord
from shared.archive.sealing import CHUNK, PREFACE, SEALED_CHUNK, ChunkReader, plain_size
from shared.stores.base import Store

_START = HEADER_BYTES + PREFACE


class SealedObject:
    """The content of one encrypted object, whose volumes were found as long as the manifest says.

    What comes out is authenticated, chunk by chunk; `ChunkCorruptError` for anything else.
    """

    def __init__(
        self, store: Store, prefix: str, records: Sequence[ObjectRecord], chunks: ChunkReader
    ) -> None:
        self._store, self._prefix, self._records, self._chunks = store, prefix, records, chunks
        self._size = sum(record.size for record in records)
        self.length = plain_size(self._size)
        """Bytes of content."""

    @classmethod
    async def open(
        cls, store: Store, prefix: str, body: Body, role: Role, archive_key: bytes
    ) -> SealedObject:
        """Raises WrongKeyError unless the object was encrypted with this archive's key."""
        records = body.volumes if role is Role.DATA else (body.find(role),)
        start = await _read(store, prefix, records, 0, _START)
        header = FileHeader.decode(start[:HEADER_BYTES])
        chunks = ChunkReader(archive_key, role, body.backup_id, header, start[HEADER_BYTES:])
        return cls(store, prefix, records, chunks)

    async def read(self, start: int, length: int) -> bytes:
        """`length` bytes of content from `start`, all in memory; fewer only at its end."""
        end = min(start + length, self.length)
        if start >= end:
            return b""
        first, last = start // CHUNK, (end - 1) // CHUNK
        begin = _START + first * SEALED_CHUNK
        until = min(_START + (last + 1) * SEALED_CHUNK, self._size)
        sealed = await _read(self._store, self._prefix, self._records, begin, until - begin)
        plain = await asyncio.to_thread(self._opened, first, sealed)
        return plain[start - first * CHUNK : end - first * CHUNK]

    def _opened(self, first: int, sealed: bytes) -> bytes:
        return b"".join(
            self._chunks.open(first + number, sealed[at : at + SEALED_CHUNK])
            for number, at in enumerate(range(0, len(sealed), SEALED_CHUNK))
        )


async def _read(
    store: Store, prefix: str, records: Sequence[ObjectRecord], start: int, length: int
) -> bytes:
    """Exactly so many bytes of the volumes put together."""
    found = bytearray()
    for record in records:
        if start < record.size and len(found) < length:
            wanted = min(record.size - start, length - len(found))
            async for piece in store.get(f"{prefix}/{record.name}", start, wanted):
                found += piece
            start = record.size
        start -= record.size
    if len(found) != length:
        raise TruncatedError("an object ends before its end")
    return bytes(found)
