"""The index: tables of frames, chunks and runs, written and read as a stream of segments.

A segment is `kind (1), rows (4), packed length (4)`, then one zstd frame holding the columns.
Tables come in order, in as many segments as needed, in any mixture; the last segment is `E`.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

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


_Row = TypeVar("_Row")
Segment = Sequence[Frame] | Sequence[Chunk] | Sequence[Run] | Totals


class IndexWriter:
    """Collects rows and gives out bytes as segments fill; memory is bounded by three segments.

    Rows may be added by one thread while another takes what is filled.
    """

    def __init__(self, header: IndexHeader) -> None:
        self._preamble = encode_preamble(header)
        self._lock = threading.Lock()  # never held for longer than lists take to change hands
        self._frames: list[Frame] = []
        self._chunks: list[tuple[bytes, int]] = []
        self._runs: list[Run] = []
        self._counts = [0, 0, 0]

    def add_frame(self, frame: Frame) -> None:
        with self._lock:
            self._frames.append(frame)
            self._counts[0] += 1

    def add_chunks(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        with self._lock:
            self._chunks += chunks
            self._counts[1] += len(chunks)

    def add_run(self, run: Run) -> None:
        """The next stretch of the logical stream; it joins the last one where that goes on so."""
        with self._lock:
            last = self._runs[-1] if self._runs else None
            if last and (last.archive, last.offset + last.length) == (run.archive, run.offset):
                self._runs[-1] = Run(last.archive, last.offset, last.length + run.length)
            else:
                self._runs.append(run)
                self._counts[2] += 1

    def filled(self) -> bytes:
        """The segments that are full by now, or nothing."""
        with self._lock:
            frames = _take(self._frames) if len(self._frames) >= MAX_ROWS else []
            chunks = _take(self._chunks) if len(self._chunks) >= MAX_ROWS else []
            # The last run may still grow.
            runs = _take(self._runs) if len(self._runs) > MAX_ROWS else []
            full = bool(frames or chunks or runs)
            preamble, self._preamble = (self._preamble, b"") if full else (b"", self._preamble)
        return preamble + _segments(frames, chunks, runs)

    def finish(self) -> bytes:
        """All that is left, and the end."""
        out, self._preamble = self._preamble, b""
        while self._frames or self._chunks or self._runs:
            out += _segments(_take(self._frames), _take(self._chunks), _take(self._runs))
        return out + _pack(b"E", 1, struct.pack("<3Q", *self._counts))


def _take(rows: list[_Row]) -> list[_Row]:
    """The first rows, as many as a segment may hold."""
    some = rows[:MAX_ROWS]
    del rows[:MAX_ROWS]
    return some


def _segments(
    frames: Sequence[Frame], chunks: Sequence[tuple[bytes, int]], runs: Sequence[Run]
) -> bytes:
    out = b""
    if frames:
        columns = struct.pack(f"<{len(frames)}I", *(frame.raw_length for frame in frames))
        columns += struct.pack(f"<{len(frames)}I", *(frame.packed_length for frame in frames))
        out += _pack(b"F", len(frames), columns)
    if chunks:
        columns = b"".join(name for name, _ in chunks)
        columns += struct.pack(f"<{len(chunks)}I", *(length for _, length in chunks))
        out += _pack(b"C", len(chunks), columns)
    if runs:
        columns = struct.pack(f"<{len(runs)}I", *(run.archive for run in runs))
        columns += struct.pack(f"<{len(runs)}Q", *(run.offset for run in runs))
        columns += struct.pack(f"<{len(runs)}Q", *(run.length for run in runs))
        out += _pack(b"R", len(runs), columns)
    return out


class IndexReader:
    """Parses an index that comes in pieces. `header` is set once its bytes are there.

    Only tables of the kinds `wanted` are unpacked and given out; of the others rows are counted.
    """

    def __init__(self, wanted: Collection[type[Frame | Chunk | Run]] = (Frame, Chunk, Run)) -> None:
        self.header: IndexHeader | None = None
        self._wanted = {kind for kind, row in _ROWS.items() if row in wanted} | {b"E"}
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
            if segment:
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
        packed, self._buffer = self._buffer[_SEGMENT.size : end], self._buffer[end:]
        if kind != b"E":
            self._counts[b"FCR".index(kind)] += rows
        if kind not in self._wanted:
            return []
        return self._decode(kind, rows, _unpack(packed, rows * width))

    def _decode(self, kind: bytes, rows: int, columns: bytes) -> Segment:
        if kind == b"F":
            values = struct.unpack(f"<{2 * rows}I", columns)
            return [*map(Frame, values[:rows], values[rows:])]
        if kind == b"C":
            names = range(0, (rows + 1) * HASH_BYTES, HASH_BYTES)
            lengths = struct.unpack_from(f"<{rows}I", columns, rows * HASH_BYTES)
            return [*map(Chunk, (columns[a:b] for a, b in pairwise(names)), lengths)]
        if kind == b"R":
            values = struct.unpack(f"<{rows}I{2 * rows}Q", columns)
            return [*map(Run, values[:rows], values[rows : 2 * rows], values[2 * rows :])]
        self._ended = True
        totals = Totals(*struct.unpack("<3Q", columns))
        if totals != Totals(*self._counts) or rows != 1:
            raise TrailerMismatchError("the index holds other rows than its end says")
        return totals


_ROWS: dict[bytes, type[Frame | Chunk | Run]] = {b"F": Frame, b"C": Chunk, b"R": Run}
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
