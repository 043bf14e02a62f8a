"""Archives a certified but hostile writer made: properly sealed and signed, wrong inside."""

from __future__ import annotations

import hashlib
import resource
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from shared.archive.cut import CutParameters
from shared.archive.errors import (
    ParentMissingError,
    TrailerMismatchError,
    TruncatedError,
    UnsupportedError,
)
from shared.archive.frames import ContentHeader, Trailer, encode_preamble
from shared.archive.header import Role
from shared.archive.index import ArchiveName, Frame, IndexHeader, IndexWriter, Run
from shared.archive.manifest import About, Body, ObjectRecord, sign_manifest
from shared.archive.reader import read_archive
from shared.archive.sealing import SealingStream
from tests.support.archives import IDENTITY, TRUST, local, text

KEY = bytes(range(32))
RAW = text(5000)
PACKED = zstandard.ZstdCompressor().compress(RAW)
OURS = ArchiveName("b1", "a1")
HEADER = ContentHeader(codec="zstd")
TRAILER = Trailer(
    raw_length=len(RAW), packed_length=len(PACKED), raw_sha256=hashlib.sha256(RAW).digest()
)


def index(frames: list[Frame], archives: tuple[ArchiveName, ...] = (OURS,)) -> bytes:
    writer = IndexWriter(IndexHeader(archives=archives, cut=CutParameters()))
    for frame in frames:
        writer.add_frame(frame)
    writer.add_run(Run(0, 0, len(RAW)))
    return writer.finish()


GOOD_INDEX = index([Frame(len(RAW), len(PACKED))])


def forge(folder: Path, data: bytes, tables: bytes = GOOD_INDEX) -> None:
    """An archive of these contents under a known key."""
    place = folder / "b1" / "a1"
    place.mkdir(parents=True)
    contents = {"data.0": (Role.DATA, data), "index": (Role.INDEX, tables), "log": (Role.LOG, b"")}
    records = []
    for name, (role, content) in contents.items():
        stream = SealingStream(KEY, role, "b1")
        sealed = stream.update(content) + stream.finish()
        (place / name).write_bytes(sealed)
        digest = hashlib.sha256(sealed).hexdigest()
        records.append(ObjectRecord(name=name, size=len(sealed), sha256=digest))
    about = About(engine="postgresql", method="logical")
    body = Body(backup_id="b1", attempt="a1", about=about, objects=tuple(records))
    (place / "manifest").write_bytes(sign_manifest(body, IDENTITY).encode())


def content(header: Any = HEADER, frames: bytes = PACKED, trailer: Trailer = TRAILER) -> bytes:
    return encode_preamble(header) + frames + trailer.encode()


async def read(folder: Path) -> bytes:
    opened = read_archive(local(folder), "b1/a1", archive_key=KEY, trusted=TRUST)
    return b"".join([piece async for piece in opened])


async def test_a_forged_archive_that_is_right_inside_reads(tmp_path: Path) -> None:
    forge(tmp_path, content())

    assert await read(tmp_path) == RAW


@pytest.mark.parametrize(
    "change",
    [
        {"raw_sha256": bytes(32)},
        {"raw_length": len(RAW) + 1},
        {"packed_length": 0},
        {"exit_flag": 1},
    ],
)
async def test_a_trailer_that_says_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    forge(tmp_path, content(trailer=msgspec.structs.replace(TRAILER, **change)))

    with pytest.raises(TrailerMismatchError):
        await read(tmp_path)


async def test_a_missing_trailer_is_refused(tmp_path: Path) -> None:
    forge(tmp_path, content()[:-64])

    with pytest.raises(TrailerMismatchError):
        await read(tmp_path)


@pytest.mark.parametrize("stated", [5000, 1 << 20])
async def test_a_frame_never_unpacks_to_more_than_the_table_says(
    tmp_path: Path, stated: int
) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(256 << 20))
    forge(tmp_path, content(frames=bomb), index([Frame(stated, len(bomb))]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    tracemalloc.start()
    try:
        with pytest.raises(TrailerMismatchError):
            await read(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize(
    "frames",
    [
        [Frame((1 << 20) + 1, len(PACKED))],
        [Frame((1 << 32) - 1, (1 << 32) - 1)],
        [Frame(len(RAW), (1 << 32) - 1)],
        [Frame(len(RAW) - 1, len(PACKED))],
        [Frame(len(RAW), len(PACKED) - 1)],
        [],
        [Frame(len(RAW), len(PACKED))] * 2,
    ],
)
async def test_a_frame_table_that_does_not_fit_is_refused(
    tmp_path: Path, frames: list[Frame]
) -> None:
    forge(tmp_path, content(), index(frames))

    with pytest.raises((TrailerMismatchError, TruncatedError)):
        await read(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        {"codec": "brotli"},
        {},
        {"codec": "zstd", "frame_bytes": 1 << 40},
        {"codec": 7},
    ],
)
async def test_a_header_this_release_does_not_know_is_refused(
    tmp_path: Path, header: dict[str, Any]
) -> None:
    forge(tmp_path, content(header=header))

    with pytest.raises(UnsupportedError):
        await read(tmp_path)


async def test_an_increment_is_refused_before_a_byte_comes_out(tmp_path: Path) -> None:
    frames = [Frame(len(RAW), len(PACKED))]
    forge(tmp_path, content(), index(frames, (OURS, ArchiveName("b0", "a1"))))

    with pytest.raises(ParentMissingError):
        await read(tmp_path)
