"""Raw bytes in, the bytes of the data and index objects out: hashed, cut, packed, sealed."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple, Unpack

from services.executor.plan import ArchivePlan, Bytes, Progress
from services.executor.sifting import Parent, Sifter
from shared.archive.cut import SECRET_BYTES
from shared.archive.frames import ContentHeader, Trailer, encode_preamble
from shared.archive.header import Role
from shared.archive.index import ArchiveName, Frame, IndexHeader, IndexWriter
from shared.archive.sealing import SealingStream
from shared.faults import Point

# Sealed bytes leave in pieces of about this size: smaller ones cost a thread hop each.
_PIECE = 1 << 20

_Frame = tuple[int, "asyncio.Future[bytes]"]
_Sifted = tuple["bytes | bytearray", bytes]
_Made = TypeVar("_Made")
_Given = TypeVarTuple("_Given")


async def frames_of(source: Bytes, frame_bytes: int) -> AsyncIterator[bytes | bytearray]:
    """The stream in blocks of `frame_bytes` at most, one frame each.

    Small pieces are joined. One of half a frame and more goes as it came: where a pipe was quiet
    for a moment, all after it would be copied for nothing but frames of equal length.
    """
    block = bytearray()
    async for piece in source:
        if frame_bytes // 2 <= len(piece) <= frame_bytes:
            if block:
                yield block
                block = bytearray()
            yield piece
            continue
        view = memoryview(piece)
        while view:
            taken = view[: frame_bytes - len(block)]
            block += taken
            view = view[len(taken) :]
            if len(block) == frame_bytes:
                yield block
                block = bytearray()
    if block:
        yield block


class Packing:
    """One run of the pipeline: `pump` feeds it, `data` and `index` give out sealed bytes.

    The three run as tasks of one group. At most `workers + 2` frames are under way, so a slow
    store holds back the source. The trailer and the short last chunk come only after `ended()`
    has returned. With a parent only what it does not hold is compressed, encrypted and given out.
    """

    def __init__(
        self,
        plan: ArchivePlan,
        archive_key: bytes,
        on_progress: Callable[[Progress], None],
        point: Point,
        parent: Parent | None = None,
    ) -> None:
        self._plan, self._on_progress, self._point = plan, on_progress, point
        self._parent = parent
        self.data_stream = SealingStream(archive_key, Role.DATA, plan.backup_id)
        self.index_stream = SealingStream(archive_key, Role.INDEX, plan.backup_id)
        secret = parent.chain_secret if parent else secrets.token_bytes(SECRET_BYTES)
        cut = parent.cut if parent else plan.cut
        self._index = IndexWriter(
            IndexHeader(
                archives=(
                    ArchiveName(plan.backup_id, plan.attempt),
                    *(parent.archives if parent else ()),
                ),
                cut=cut,
                chain_secret=None if parent else secret.hex(),
            )
        )
        self._sifter = Sifter(self._index, cut, secret, parent.matcher if parent else None)
        self._raw = hashlib.sha256()
        self._frames: asyncio.Queue[_Frame | None] = asyncio.Queue(plan.workers)
        self._tables: asyncio.Queue[bytes] = asyncio.Queue(2)
        self._fresh = bytearray()
        self.raw_bytes = 0
        self.packed_bytes = 0

    async def pump(self, source: Bytes, ended: Callable[[], Awaitable[None]]) -> None:
        """Read the source to its end, then wait for the tool's good ending."""
        packers = ThreadPoolExecutor(self._plan.workers, "pack")
        sifter = ThreadPoolExecutor(1, "sift")  # one thread: these must stay in order
        try:
            sifting: asyncio.Future[_Sifted] | None = None
            async for block in frames_of(source, self._plan.frame_bytes):
                # The next block is read while this one is hashed, cut and compared.
                if sifting is not None:
                    await self._pass_on(await sifting, packers)
                    self._tell("data")
                if self._parent is not None:
                    await self._parent.prepare()
                sifting = _in(sifter, self._sift, block)
            if sifting is not None:
                await self._pass_on(await sifting, packers)
                self._tell("data")
            rest = await _in(sifter, self._sifter.finish)
            await self._pass_on((rest, b""), packers, last=True)
            await ended()
            await self._frames.put(None)
        finally:
            packers.shutdown(wait=False)
            sifter.shutdown(wait=False)

    async def _pass_on(
        self, sifted: _Sifted, packers: ThreadPoolExecutor, *, last: bool = False
    ) -> None:
        """Hand over the tables, and whole frames of what is new; at the end the rest."""
        fresh, table = sifted
        if table:
            await self._tables.put(table)
        size, pack = self._plan.frame_bytes, self._plan.codec.pack
        if self._parent is None:  # a full's blocks are its frames
            if fresh:
                await self._frames.put((len(fresh), _in(packers, pack, fresh)))
            return
        self._fresh += fresh
        while len(self._fresh) >= size or (last and self._fresh):
            frame = bytes(memoryview(self._fresh)[:size])
            del self._fresh[: len(frame)]
            await self._frames.put((len(frame), _in(packers, pack, frame)))

    @property
    def fresh_bytes(self) -> int:
        """What of the dump no parent holds, so far."""
        return self._sifter.fresh_bytes

    async def data(self) -> AsyncGenerator[bytes, None]:
        """The data object's bytes, in order."""
        about = self._plan.about
        header = ContentHeader(
            codec=self._plan.codec.name,
            frame_bytes=self._plan.frame_bytes,
            engine=about.engine,
            method=about.method,
            tool=about.tool,
            tool_version=about.tool_version,
            database=self._plan.database,
        )
        waiting = [encode_preamble(header)]
        while (frame := await self._frames.get()) is not None:
            waiting.append(await self._take(*frame))
            if sum(map(len, waiting)) >= _PIECE:
                yield await self._seal(waiting)
                waiting = []
        yield await self._seal([*waiting, await self._trailer()], last=True)

    async def index(self) -> AsyncIterator[bytes]:
        """The index object's bytes; ends after `data` has ended."""
        while table := await self._tables.get():
            yield await asyncio.to_thread(self.index_stream.update, table)
        yield self.index_stream.finish()

    def _sift(self, block: bytes | bytearray) -> _Sifted:
        self._raw.update(block)
        fresh = self._sifter.update(block)
        self.raw_bytes += len(block)
        return fresh, self._index.filled()

    async def _take(self, raw_length: int, packing: asyncio.Future[bytes]) -> bytes:
        packed = await packing
        first = not self.packed_bytes
        self.packed_bytes += len(packed)
        self._index.add_frame(Frame(raw_length, len(packed)))
        await self._point("first-frame" if first else "mid-data")
        return packed

    async def _trailer(self) -> bytes:
        await self._tables.put(self._index.finish())
        await self._tables.put(b"")
        return Trailer(
            raw_length=self.raw_bytes,
            packed_length=self.packed_bytes,
            raw_sha256=self._raw.digest(),
        ).encode()

    async def _seal(self, parts: list[bytes], *, last: bool = False) -> bytes:
        def seal() -> bytes:
            sealed = self.data_stream.update(b"".join(parts))
            return sealed + self.data_stream.finish() if last else sealed

        return await asyncio.to_thread(seal)

    def _tell(self, stage: str) -> None:
        self._on_progress(
            Progress(stage=stage, raw_bytes=self.raw_bytes, packed_bytes=self.packed_bytes)
        )


def _in(
    pool: ThreadPoolExecutor, do: Callable[[Unpack[_Given]], _Made], *given: *_Given
) -> asyncio.Future[_Made]:
    return asyncio.get_running_loop().run_in_executor(pool, do, *given)
