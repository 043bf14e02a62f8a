"""What of a dump is new: its chunks, compared with those of the archive it builds on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

from shared.archive.chain import Chain
from shared.archive.cut import Chunker, CutParameters
from shared.archive.errors import ParentMissingError
from shared.archive.index import ArchiveName, IndexWriter, Run
from shared.archive.logical import known_chunks
from shared.archive.matching import Anchors, Known, Matcher


class Parent:
    """The archive that an increment builds on, opened in its store.

    `prepare` is awaited before each block, while nothing else uses the matcher.
    """

    def __init__(self, chain: Chain, matcher: Matcher | None = None) -> None:
        self._chain = chain
        self.matcher = matcher or Matcher()
        self._coming = known_chunks(chain)
        self._ended = False

    @property
    def archives(self) -> tuple[ArchiveName, ...]:
        """As the parent's index numbers them; the increment's own numbers are one higher."""
        return self._chain.members[0].header.archives

    @property
    def cut(self) -> CutParameters:
        return self._chain.members[0].header.cut

    @property
    def chain_secret(self) -> bytes:
        """From the full at the chain's beginning."""
        for member in self._chain.members:
            if member.header.chain_secret is not None:
                return bytes.fromhex(member.header.chain_secret)
        raise ParentMissingError("no archive of the chain is a full backup")

    async def prepare(self) -> None:
        """Keep the matcher's window filled; where it is lost, find out where it should go on."""
        matcher = self.matcher
        if matcher.lost and matcher.anchors is None and not self._ended:
            matcher.anchors = await _anchors(self._chain)
        while not self._ended and (matcher.target is not None or matcher.ahead < matcher.window):
            await self._take()

    async def close(self) -> None:
        await self._coming.aclose()

    async def _take(self) -> None:
        chunks = await anext(self._coming, None)
        if chunks is None:
            self._ended = True
            self.matcher.target = None
            return
        dropped = 0
        if self.matcher.target is not None:
            dropped = min(len(chunks), self.matcher.target - self.matcher.end)
            self.matcher.drop(dropped)
        self.matcher.extend(chunks[dropped:])


async def _anchors(chain: Chain) -> Anchors:
    anchors, place = Anchors(), 0
    listing: AsyncGenerator[Sequence[Known], None] = known_chunks(chain)
    async for chunks in listing:
        for chunk in chunks:
            anchors.add(chunk.name, place)
            place += 1
        await asyncio.sleep(0)
    return anchors


class Sifter:
    """Splits the raw stream into what the parent holds and what is new, and writes both down.

    Without a parent everything is new, and nothing is copied.
    """

    def __init__(
        self, index: IndexWriter, cut: CutParameters, secret: bytes, matcher: Matcher | None
    ) -> None:
        self._index, self._matcher = index, matcher
        self._chunker = Chunker(cut, secret)
        self._unsure = b""
        self.fresh_bytes = 0
        """What the parent does not hold, so far."""

    def update(self, block: bytes | bytearray) -> bytes | bytearray:
        """What of the stream is known to be new by now. Not for two threads at once."""
        if self._matcher is None:
            self._index.add_chunks(self._chunker.update(block))
            self.fresh_bytes += len(block)
            return block
        return self._sift(self._chunker.update(block), block, self._matcher)

    def finish(self) -> bytes:
        """The new part of what was left, and the end of the run table."""
        chunks = self._chunker.finish()
        if self._matcher is not None:
            return self._sift(chunks, b"", self._matcher)
        self._index.add_chunks(chunks)
        self._index.add_run(Run(0, 0, self.fresh_bytes))
        return b""

    def _sift(
        self, chunks: Sequence[tuple[bytes, int]], block: bytes | bytearray, matcher: Matcher
    ) -> bytes:
        stretch, number, at = _Stretch(self._unsure, block), 0, 0
        fresh: list[bytes | memoryview] = []
        own: list[tuple[bytes, int]] = []
        while number < len(chunks):
            known = matcher.follow(chunks, number)
            number += len(known)
            at += self._copied(known)
            if number == len(chunks):
                break
            name, length = chunks[number]
            number += 1
            found = matcher.find(name, length)
            if found is not None:
                self._copied((found,))
            else:
                own.append((name, length))
                fresh.append(stretch.between(at, at + length))
                self._index.add_run(Run(0, self.fresh_bytes, length))
                self.fresh_bytes += length
            at += length
        self._index.add_chunks(own)
        self._unsure = bytes(stretch.between(at, stretch.length))
        return b"".join(fresh)

    def _copied(self, known: Sequence[Known]) -> int:
        """Note what the parent holds; how many bytes that is."""
        for run in _joined(known):
            self._index.add_run(run)
        return sum(chunk.length for chunk in known)


def _joined(known: Iterable[Known]) -> Iterator[Run]:
    """The runs that chunks of the parent make, as an increment numbers the archives."""
    archive = begin = end = -1
    for chunk in known:
        if (chunk.archive, chunk.offset) != (archive, end):
            if archive >= 0:
                yield Run(archive + 1, begin, end - begin)
            archive, begin = chunk.archive, chunk.offset
        end = chunk.offset + chunk.length
    if archive >= 0:
        yield Run(archive + 1, begin, end - begin)


class _Stretch:
    """What was left of the stream and the block behind it, as one; joined only where it must be."""

    def __init__(self, rest: bytes, block: bytes | bytearray) -> None:
        self._rest, self._block = rest, memoryview(block)
        self.length = len(rest) + len(block)

    def between(self, begin: int, end: int) -> bytes | memoryview:
        joint = len(self._rest)
        if begin >= joint:
            return self._block[begin - joint : end - joint]
        return self._rest[begin:end] + self._block[: max(0, end - joint)]
