"""The index: every row comes back, in any pieces; nothing else is believed."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from shared.archive.cut import CutParameters
from shared.archive.errors import ArchiveError, TruncatedError, UnsupportedError
from shared.archive.index import (
    MAX_ROWS,
    ArchiveName,
    Chunk,
    Frame,
    IndexHeader,
    IndexReader,
    IndexWriter,
    Run,
    Segment,
    Totals,
)

HEADER = IndexHeader(
    archives=(ArchiveName("b1", "a1"),), cut=CutParameters(), chain_secret=bytes(32).hex()
)


def index(frames: int, chunks: int, runs: int) -> tuple[bytes, list[Frame], list[Chunk], list[Run]]:
    chance = random.Random(frames)
    frame_rows = [Frame(1 << 20, chance.randrange(1 << 20)) for _ in range(frames)]
    chunk_rows = [Chunk(chance.randbytes(16), chance.randrange(1, 65_537)) for _ in range(chunks)]
    run_rows = [Run(number % 3, chance.getrandbits(50), 1 << 40) for number in range(runs)]
    writer = IndexWriter(HEADER)
    out = b""
    for at in range(max(frames, chunks // 100 + 1)):
        if at < frames:
            writer.add_frame(frame_rows[at])
        rows = chunk_rows[at * 100 : (at + 1) * 100]
        writer.add_chunks([(row.name, row.length) for row in rows])
        out += writer.filled()
    for row in run_rows:
        writer.add_run(row)
    return out + writer.finish(), frame_rows, chunk_rows, run_rows


def read(data: bytes, piece: int) -> list[Segment]:
    reader = IndexReader()
    found = [
        segment
        for at in range(0, len(data), piece)
        for segment in reader.feed(data[at : at + piece])
    ]
    reader.finish()
    assert reader.header == HEADER
    return found


@pytest.mark.parametrize(
    ("frames", "chunks", "runs"),
    [(0, 0, 1), (1, 1, 1), (3, 400, 2), (200, 20_001, 1), (MAX_ROWS + 1, 5, MAX_ROWS + 1)],
)
@pytest.mark.parametrize("piece", [1 << 24, 997])
def test_every_row_comes_back_in_order(frames: int, chunks: int, runs: int, piece: int) -> None:
    data, *tables = index(frames, chunks, runs)

    segments = read(data, piece)

    for kind, rows in zip((Frame, Chunk, Run), tables, strict=True):
        found = [
            row
            for one in segments
            if not isinstance(one, Totals)
            for row in one
            if isinstance(row, kind)
        ]
        assert found == rows
    assert segments[-1] == Totals(frames, chunks, runs)


def test_the_index_of_a_gigabyte_is_small_and_leaves_in_pieces() -> None:
    writer, chance, sizes = IndexWriter(HEADER), random.Random(1), []
    for _ in range(1024):
        writer.add_frame(Frame(1 << 20, 300_000))
        writer.add_chunks([(chance.randbytes(16), chance.randrange(2048, 14_000))] * 128)
        sizes.append(len(writer.filled()))

    writer.add_run(Run(0, 0, 1 << 30))
    total = sum(sizes) + len(writer.finish())

    assert total < 0.003 * (1 << 30)
    assert max(sizes) < 400_000


def test_a_secret_is_not_shown() -> None:
    assert bytes(32).hex() not in repr(HEADER)


def test_every_cut_is_an_error() -> None:
    data, *_ = index(3, 40, 2)

    for length in range(len(data)):
        with pytest.raises((TruncatedError, UnsupportedError)):
            read(data[:length], 1 << 20)
    with pytest.raises(ArchiveError):
        read(data + b"x", 1 << 20)


@settings(max_examples=200, deadline=None)
@given(some.integers(0, 1000), some.binary(min_size=1, max_size=40))
def test_changed_bytes_never_crash_the_reader(where: int, change: bytes) -> None:
    data = bytearray(index(3, 40, 2)[0])
    at = where % len(data)
    data[at : at + len(change)] = change
    reader = IndexReader()

    with suppress(ArchiveError):  # and no other exception
        list(reader.feed(bytes(data)))
        reader.finish()
        assert reader.header is not None
