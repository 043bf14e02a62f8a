"""The index: tables of frames, chunks and runs, written and read as a stream of segments.

A segment is `kind (1), rows (4), packed length (4)`, then one zstd frame holding the columns.
Tables come in order, in as many segments as needed, in any mixture; the last segment is `E`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
import zstandard

from shared.archive.cut import HASH_BYTES, CutParameters
from shared.archive.errors import TrailerMismatchError, TruncatedError, UnsupportedError
from shared.archive.frames import Preamble, decode_header, encode_preamble

MAX_ROWS = 8192
_SEGMENT = struct.Struct("<cII")
_LEVEL = 3


class ArchiveName(msgspec.Struct, frozen=True):
    """Which archive: a backup and the attempt that counts."""

    backup_id: str
    attempt: str


class IndexHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Archives by number (0 is this one), how the stream was cut, and the chain's secret.

    `chain_secret` is hex and stands in a full only; increments get it with their order.
    """

    archives: tuple[ArchiveName, ...]
    cut: CutParameters
    chain_secret: str | None = None
    hash_bytes: int = HASH_BYTES

    def __repr__(self) -> str:
        return f"IndexHeader(archives={self.archives!r}, cut={self.cut!r})"


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One frame's length before and after packing; offsets are the sums of those before."""

    raw_length: int
    packed_length: int


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """One chunk of this archive: keyed hash and length."""

    name: bytes
    length: int


class Run(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of the logical stream: archive number, raw offset there, length."""

    archive: int
    offset: int
    length: int


class Totals(msgspec.Struct, frozen=True, array_like=True):
    """How many rows of each table the index holds."""

    frames: int
    chunks: int
    runs: int


Segment = Sequence[Frame] | Sequence[Chunk] | Sequence[Run] | Totals


class IndexWriter:
    """Collects rows and gives out bytes as segments fill; memory is bounded by two segments."""

    def __init__(self, header: IndexHeader) -> None:
        self._preamble = encode_preamble(header)
        self._frames: list[Frame] = []
        self._chunks: list[tuple[bytes, int]] = []
        self._counts = [0, 0, 0]

    def add_frame(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._counts[0] += 1

    def add_chunks(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        self._chunks += chunks
        self._counts[1] += len(chunks)

    def filled(self) -> bytes:
        """The segments that are full by now, or nothing."""
        out = b""
        if len(self._frames) >= MAX_ROWS or len(self._chunks) >= MAX_ROWS:
            out = self._take_preamble() + self._flush_frames()
            while len(self._chunks) >= MAX_ROWS:
                out += self._flush_chunks()
        return out

    def finish(self, runs: Sequence[Run]) -> bytes:
        """All that is left, the runs and the end."""
        out = self._take_preamble() + self._flush_frames()
        while self._chunks:
            out += self._flush_chunks()
        for at in range(0, len(runs), MAX_ROWS):
            some = runs[at : at + MAX_ROWS]
            columns = struct.pack(f"<{len(some)}I", *(run.archive for run in some))
            columns += struct.pack(f"<{len(some)}Q", *(run.offset for run in some))
            columns += struct.pack(f"<{len(some)}Q", *(run.length for run in some))
            out += _pack(b"R", len(some), columns)
        self._counts[2] = len(runs)
        return out + _pack(b"E", 1, struct.pack("<3Q", *self._counts))

    def _take_preamble(self) -> bytes:
        preamble, self._preamble = self._preamble, b""
        return preamble

    def _flush_frames(self) -> bytes:
        frames, self._frames = self._frames, []
        if not frames:
            return b""
        columns = struct.pack(f"<{len(frames)}I", *(frame.raw_length for frame in frames))
        columns += struct.pack(f"<{len(frames)}I", *(frame.packed_length for frame in frames))
        return _pack(b"F", len(frames), columns)

    def _flush_chunks(self) -> bytes:
        chunks, self._chunks = self._chunks[:MAX_ROWS], self._chunks[MAX_ROWS:]
        columns = b"".join(name for name, _ in chunks)
        columns += struct.pack(f"<{len(chunks)}I", *(length for _, length in chunks))
        return _pack(b"C", len(chunks), columns)


class IndexReader:
    """Parses an index that comes in pieces. `header` is set once its bytes are there."""

    def __init__(self) -> None:
        self.header: IndexHeader | None = None
        self._preamble = Preamble()
        self._buffer = b""
        self._counts = [0, 0, 0]
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Segment]:
        """The segments that `data` completes, in order."""
        self._buffer += data
        if self.header is None:
            found = self._preamble.feed(self._buffer)
            self._buffer = b""
            if found is None:
                return
            self.header = decode_header(found[0], IndexHeader)
            self._buffer = found[1]
            if self.header.hash_bytes != HASH_BYTES:
                raise UnsupportedError("the index uses hashes of another length")
        while (segment := self._next()) is not None:
            yield segment

    def finish(self) -> None:
        """`TruncatedError` unless the end segment was the last thing there was."""
        if not self._ended or self._buffer:
            raise TruncatedError("the index ends before its end, or goes on after it")

    def _next(self) -> Segment | None:
        if len(self._buffer) < _SEGMENT.size:
            return None
        kind, rows, length = _SEGMENT.unpack_from(self._buffer)
        width = _WIDTHS.get(kind)
        if self._ended or width is None or not 0 < rows <= MAX_ROWS or length > rows * width + 1024:
            raise UnsupportedError("the index holds a table this release does not know")
        end = _SEGMENT.size + length
        if len(self._buffer) < end:
            return None
        columns = _unpack(self._buffer[_SEGMENT.size : end], rows * width)
        self._buffer = self._buffer[end:]
        return self._decode(kind, rows, columns)

    def _decode(self, kind: bytes, rows: int, columns: bytes) -> Segment:
        if kind == b"F":
            self._counts[0] += rows
            values = struct.unpack(f"<{2 * rows}I", columns)
            return [*map(Frame, values[:rows], values[rows:])]
        if kind == b"C":
            self._counts[1] += rows
            names = range(0, (rows + 1) * HASH_BYTES, HASH_BYTES)
            lengths = struct.unpack_from(f"<{rows}I", columns, rows * HASH_BYTES)
            return [*map(Chunk, (columns[a:b] for a, b in pairwise(names)), lengths)]
        if kind == b"R":
            self._counts[2] += rows
            values = struct.unpack(f"<{rows}I{2 * rows}Q", columns)
            return [*map(Run, values[:rows], values[rows : 2 * rows], values[2 * rows :])]
        self._ended = True
        totals = Totals(*struct.unpack("<3Q", columns))
        if totals != Totals(*self._counts) or rows != 1:
            raise TrailerMismatchError("the index holds other rows than its end says")
        return totals


_WIDTHS = {b"F": 8, b"C": HASH_BYTES + 4, b"R": 20, b"E": 24}


def _pack(kind: bytes, rows: int, columns: bytes) -> bytes:
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(columns)
    return _SEGMENT.pack(kind, rows, len(packed)) + packed


def _unpack(packed: bytes, length: int) -> bytes:
    try:
        if zstandard.frame_content_size(packed) != length:
            raise TrailerMismatchError("a table of the index is not as long as it says")
        return zstandard.ZstdDecompressor().decompress(
            packed, max_output_size=length, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise TrailerMismatchError("a table of the index cannot be decompressed") from error
