"""One archive from a stream of bytes: every object written, checked, and vouched for last."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager

from services.executor.packing import Packing, frames_of
from services.executor.plan import (
    ArchivePlan,
    ArchiveReceipt,
    Bytes,
    Progress,
    WrittenObject,
    no_progress,
)
from services.executor.sifting import Parent
from shared.archive.codecs import Zstd
from shared.archive.envelope import ARCHIVE_KEY_BYTES, seal_envelope
from shared.archive.frames import ContentHeader, Trailer, encode_preamble
from shared.archive.header import Role
from shared.archive.manifest import Body, ObjectRecord, sign_manifest
from shared.archive.sealing import SealingStream
from shared.faults import Point, no_point
from shared.stores.base import ObjectDamagedError, Store


async def write_archive(  # noqa: PLR0913 - the seams of the pipeline, each a parameter
    source: Bytes,
    *,
    ended: Callable[[], Awaitable[None]],
    plan: ArchivePlan,
    store: Store,
    log: Bytes,
    parent: Parent | None = None,
    on_progress: Callable[[Progress], None] = no_progress,
    point: Point = no_point,
) -> ArchiveReceipt:
    """Write all objects of one attempt; the manifest comes last, when all else is durable.

    With a `parent` only what it does not hold is stored; `plan.about` has to say so.
    `ended()` is awaited once the source is exhausted and raises unless the dump tool ended well.
    `log` is read after the data is stored. `on_progress` is called once a frame (1 MiB raw).
    After an error or cancellation, raised as it came, finished objects stay: deleting is the
    storage service's alone, which knows from the log that this attempt counts no more. Nothing
    is staged on disk; memory stays bounded.
    """
    try:
        return await _Writing(plan, store, on_progress, point, parent).run(source, ended, log)
    except BaseExceptionGroup as errors:
        first = _first(errors)
        raise first from first.__cause__


class _Writing:
    """One attempt under way."""

    def __init__(
        self,
        plan: ArchivePlan,
        store: Store,
        on_progress: Callable[[Progress], None],
        point: Point,
        parent: Parent | None,
    ) -> None:
        self._plan, self._store, self._point = plan, store, point
        self._on_progress = on_progress
        self._archive_key = secrets.token_bytes(ARCHIVE_KEY_BYTES)
        self._packing = Packing(plan, self._archive_key, on_progress, point, parent)
        self._log_stream = SealingStream(self._archive_key, Role.LOG, plan.backup_id)
        self._written: list[WrittenObject] = []
        self._unchecked: list[WrittenObject] = []
        self._seconds: dict[str, float] = {}

    async def run(
        self, source: Bytes, ended: Callable[[], Awaitable[None]], log: Bytes
    ) -> ArchiveReceipt:
        with self._stage("data"):
            index = await self._write_streams(source, ended)
        await self._point("data-written")
        with self._stage("check"):
            await self._check()
        await self._point("data-checked")
        with self._stage("index"):
            self._written.append(index)
            self._unchecked.append(index)
            await self._check()
        await self._point("index-written")
        with self._stage("log"):
            await self._write("log", _sealed_log(log, self._log_stream))
            await self._check()
        await self._point("log-written")
        with self._stage("envelope"):
            await self._write_whole("envelope.1", await asyncio.to_thread(self._envelope))
        await self._point("envelope-written")
        with self._stage("manifest"):
            manifest = await self._write_whole("manifest", self._manifest())
        await self._point("manifest-written")
        return self._receipt(manifest)

    async def _write_streams(
        self, source: Bytes, ended: Callable[[], Awaitable[None]]
    ) -> WrittenObject:
        """Data and index together: the tables leave as they fill, so memory stays bounded."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._packing.pump(source, ended))
            index = group.create_task(
                self._store.put(f"{self._plan.prefix}/index", self._packing.index())
            )
            await self._write_volumes()
        stored = index.result()
        return WrittenObject(name="index", size=stored.size, sha256=stored.sha256)

    async def _write_volumes(self) -> None:
        await self._point("data-opened")
        async with aclosing(self._packing.data()) as stream:
            volumes = _Volumes(stream, self._plan.volume_bytes)
            number = 0
            while await volumes.more():
                if number:
                    await self._point("volume-rolled")
                await self._write(f"data.{number}", volumes.next())
                number += 1

    async def _write(self, name: str, chunks: AsyncIterator[bytes]) -> WrittenObject:
        stored = await self._store.put(f"{self._plan.prefix}/{name}", chunks)
        written = WrittenObject(name=name, size=stored.size, sha256=stored.sha256)
        self._written.append(written)
        if not stored.checked:
            self._unchecked.append(written)
        return written

    async def _write_whole(self, name: str, content: bytes) -> WrittenObject:
        async def once() -> AsyncIterator[bytes]:
            yield content

        written = await self._write(name, once())
        await self._check()
        return written

    async def _check(self) -> None:
        """Read back what the store did not confirm itself."""
        while self._unchecked:
            await _read_back(self._store, self._plan.prefix, self._unchecked.pop(0))

    def _envelope(self) -> bytes:
        return seal_envelope(
            self._archive_key,
            backup_id=self._plan.backup_id,
            attempt=self._plan.attempt,
            number=1,
            file_ids={
                "data": self._packing.data_stream.file_id.hex(),
                "index": self._packing.index_stream.file_id.hex(),
                "log": self._log_stream.file_id.hex(),
            },
            recipients=self._plan.recipients,
            passphrase=self._plan.passphrase,
        ).encode()

    def _manifest(self) -> bytes:
        immutable = [one for one in self._written if not one.name.startswith("envelope.")]
        body = Body(
            backup_id=self._plan.backup_id,
            attempt=self._plan.attempt,
            about=self._plan.about,
            objects=tuple(
                ObjectRecord(name=one.name, size=one.size, sha256=one.sha256) for one in immutable
            ),
            checkpoint=self._plan.checkpoint,
        )
        return sign_manifest(body, self._plan.worker).encode()

    def _receipt(self, manifest: WrittenObject) -> ArchiveReceipt:
        return ArchiveReceipt(
            raw_bytes=self._packing.raw_bytes,
            fresh_bytes=self._packing.fresh_bytes,
            packed_bytes=self._packing.packed_bytes,
            stored_bytes=sum(one.size for one in self._written),
            manifest_sha256=manifest.sha256,
            objects=tuple(self._written),
            seconds=self._seconds,
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self._on_progress(
            Progress(
                stage=name,
                raw_bytes=self._packing.raw_bytes,
                packed_bytes=self._packing.packed_bytes,
            )
        )
        yield
        self._seconds[name] = round(time.monotonic() - began, 3)


class _Volumes:
    """Slices one stream into streams of at most `size` bytes."""

    def __init__(self, stream: AsyncIterator[bytes], size: int) -> None:
        self._stream, self._size = stream, size
        self._ahead = b""

    async def more(self) -> bool:
        """Whether another volume is needed; waits for its first bytes."""
        if not self._ahead:
            self._ahead = await anext(self._stream, b"")
        return bool(self._ahead)

    async def next(self) -> AsyncIterator[bytes]:
        left = self._size
        while left and await self.more():
            piece, self._ahead = self._ahead[:left], self._ahead[left:]
            left -= len(piece)
            yield piece


async def _sealed_log(log: Bytes, stream: SealingStream) -> AsyncIterator[bytes]:
    """The log object: the same inside as data, without an engine."""
    codec = Zstd()
    raw = hashlib.sha256()
    raw_length = packed_length = 0
    yield stream.update(encode_preamble(ContentHeader(codec=codec.name)))
    async for block in frames_of(log, 1 << 20):
        raw.update(block)
        packed = await asyncio.to_thread(codec.pack, block)
        raw_length += len(block)
        packed_length += len(packed)
        yield stream.update(packed)
    trailer = Trailer(
        raw_length=raw_length, packed_length=packed_length, raw_sha256=raw.digest()
    ).encode()
    yield stream.update(trailer) + stream.finish()


async def _read_back(store: Store, prefix: str, written: WrittenObject) -> None:
    digest, size = hashlib.sha256(), 0
    hashing: asyncio.Task[None] | None = None  # one piece, while the next one is read
    async for piece in store.get(f"{prefix}/{written.name}"):
        if hashing is not None:
            await hashing
        hashing = asyncio.create_task(asyncio.to_thread(digest.update, piece))
        size += len(piece)
    if hashing is not None:
        await hashing
    if (size, digest.hexdigest()) != (written.size, written.sha256):
        raise ObjectDamagedError(f"`{written.name}` reads back other than it was written")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first, out of a task group's collection."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
