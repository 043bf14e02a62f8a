"""Raw bytes in, the bytes of the data and index objects out: hashed, cut, packed, sealed."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from services.executor.plan import ArchivePlan, Bytes, Progress
from shared.archive.cut import SECRET_BYTES, Chunker
from shared.archive.frames import ContentHeader, Trailer, encode_preamble
from shared.archive.header import Role
from shared.archive.index import ArchiveName, Frame, IndexHeader, IndexWriter, Run
from shared.archive.sealing import SealingStream
from shared.faults import Point

# Sealed bytes leave in pieces of about this size: smaller ones cost a thread hop each.
_PIECE = 1 << 20

_Frame = tuple[int, "asyncio.Future[bytes]", "asyncio.Future[list[tuple[bytes, int]]]"]


async def frames_of(source: Bytes, frame_bytes: int) -> AsyncIterator[bytearray]:
    """The stream in equal blocks, the last one shorter; the source's pieces may be of any size."""
    block = bytearray()
    async for piece in source:
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
    has returned.
    """

    def __init__(
        self,
        plan: ArchivePlan,
        archive_key: bytes,
        on_progress: Callable[[Progress], None],
        point: Point,
    ) -> None:
        self._plan, self._on_progress, self._point = plan, on_progress, point
        self.data_stream = SealingStream(archive_key, Role.DATA, plan.backup_id)
        self.index_stream = SealingStream(archive_key, Role.INDEX, plan.backup_id)
        secret = plan.chain_secret or secrets.token_bytes(SECRET_BYTES)
        self._index = IndexWriter(
            IndexHeader(
                archives=(ArchiveName(plan.backup_id, plan.attempt),),
                cut=plan.cut,
                chain_secret=secret.hex() if plan.about.type == "full" else None,
            )
        )
        self._chunker = Chunker(plan.cut, secret)
        self._raw = hashlib.sha256()
        self._frames: asyncio.Queue[_Frame | None] = asyncio.Queue(plan.workers)
        self._tables: asyncio.Queue[bytes] = asyncio.Queue(2)
        self.raw_bytes = 0
        self.packed_bytes = 0

    async def pump(self, source: Bytes, ended: Callable[[], Awaitable[None]]) -> None:
        """Read the source to its end, then wait for the tool's good ending."""
        loop = asyncio.get_running_loop()
        packers = ThreadPoolExecutor(self._plan.workers, "pack")
        hasher = ThreadPoolExecutor(1, "hash")  # one thread: these must stay in order
        try:
            async for block in frames_of(source, self._plan.frame_bytes):
                packed = loop.run_in_executor(packers, self._plan.codec.pack, block)
                chunks = loop.run_in_executor(hasher, self._hash, block)
                await self._frames.put((len(block), packed, chunks))
            await ended()
            await self._frames.put(None)
        finally:
            packers.shutdown(wait=False)
            hasher.shutdown(wait=False)

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

    def _hash(self, block: bytearray) -> list[tuple[bytes, int]]:
        self._raw.update(block)
        return self._chunker.update(block)

    async def _take(
        self,
        raw_length: int,
        packing: asyncio.Future[bytes],
        chunking: asyncio.Future[list[tuple[bytes, int]]],
    ) -> bytes:
        packed = await packing
        first = not self.raw_bytes
        self.raw_bytes += raw_length
        self.packed_bytes += len(packed)
        self._index.add_frame(Frame(raw_length, len(packed)))
        self._index.add_chunks(await chunking)
        if table := await asyncio.to_thread(self._index.filled):
            await self._tables.put(table)
        self._tell("data")
        await self._point("first-frame" if first else "mid-data")
        return packed

    async def _trailer(self) -> bytes:
        self._index.add_chunks(await asyncio.to_thread(self._chunker.finish))
        await self._tables.put(self._index.finish([Run(0, 0, self.raw_bytes)]))
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
