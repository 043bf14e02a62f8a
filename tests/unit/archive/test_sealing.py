"""Encrypted objects: only what was written comes out, whatever is done to the bytes."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from shared.archive.errors import (
    ArchiveError,
    ChunkCorruptError,
    TruncatedError,
    UnsupportedError,
    WrongKeyError,
)
from shared.archive.header import FileHeader, Role
from shared.archive.sealing import (
    CHUNK,
    SEALED_CHUNK,
    ChunkReader,
    OpeningStream,
    SealingStream,
    object_key,
    plain_size,
    sealed_size,
)

KEY = bytes(range(32))
START = 88
SIZES = (0, 1, 16_383, 16_384, 16_385, (1 << 20) - 1, 1 << 20, (1 << 20) + 1)


def seal(plain: bytes, role: Role = Role.DATA, backup_id: str = "b1") -> bytes:
    stream = SealingStream(KEY, role, backup_id)
    return stream.update(plain) + stream.finish()


def unseal(
    sealed: bytes, key: bytes = KEY, role: Role = Role.DATA, backup_id: str = "b1", piece: int = 0
) -> bytes:
    stream = OpeningStream(key, role, backup_id)
    step = piece or len(sealed) or 1
    parts = [stream.update(sealed[at : at + step]) for at in range(0, len(sealed), step)]
    return b"".join([*parts, stream.finish()])


@pytest.mark.parametrize("size", SIZES)
def test_an_object_of_any_size_opens_in_any_pieces(size: int) -> None:
    plain = random.Random(size).randbytes(size)

    sealed = seal(plain)

    assert len(sealed) == sealed_size(size)
    assert plain_size(len(sealed)) == size
    for piece in (0, 16_400, 100_003, *((7, 31) if size < 20_000 else ())):
        assert unseal(sealed, piece=piece) == plain


@pytest.mark.parametrize("size", SIZES)
def test_every_chunk_opens_on_its_own_where_the_format_says(size: int) -> None:
    plain = random.Random(size).randbytes(size)
    sealed = seal(plain)
    reader = ChunkReader(KEY, Role.DATA, "b1", FileHeader.decode(sealed[:32]), sealed[32:START])

    opened = [
        reader.open(number, sealed[at : at + SEALED_CHUNK])
        for number, at in enumerate(range(START, len(sealed), SEALED_CHUNK))
    ]

    assert b"".join(opened) == plain
    assert all(len(chunk) == CHUNK for chunk in opened[:-1])
    with pytest.raises(ChunkCorruptError):
        reader.open(1, sealed[START : START + SEALED_CHUNK])


def test_a_known_object_opens_as_it_always_did() -> None:
    assert object_key(KEY, Role.INDEX, bytes(16)).hex() == KNOWN_KEY
    assert unseal(bytes.fromhex(KNOWN_OBJECT)) == b"hello"


def test_every_flipped_bit_of_a_small_object_is_an_error() -> None:
    sealed = seal(b"a small secret")

    for at, bit in itertools.product(range(len(sealed)), range(8)):
        flipped = bytearray(sealed)
        flipped[at] ^= 1 << bit
        with pytest.raises(ArchiveError):
            unseal(bytes(flipped))


def test_every_cut_of_a_small_object_is_an_error() -> None:
    sealed = seal(b"a small secret")

    for length in range(len(sealed)):
        with pytest.raises(ArchiveError):
            unseal(sealed[:length])


def flips_and_cuts(step: int) -> None:
    sealed = seal(random.Random(3).randbytes(2 * CHUNK + 100))
    for at in range(0, 8 * len(sealed), step):
        flipped = bytearray(sealed)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(ArchiveError):
            unseal(bytes(flipped))
    for length in range(0, len(sealed), step):
        with pytest.raises(ArchiveError):
            unseal(sealed[:length])


def test_flips_and_cuts_of_three_chunks_are_errors() -> None:
    flips_and_cuts(step=211)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_flip_and_cut_of_three_chunks_is_an_error() -> None:
    flips_and_cuts(step=1)


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_the_error_names_the_chunk(chunk: int) -> None:
    sealed = bytearray(seal(bytes(2 * CHUNK + 100)))
    sealed[START + chunk * SEALED_CHUNK + 5] ^= 1

    for piece in (0, 1000, SEALED_CHUNK + 1):
        with pytest.raises(ChunkCorruptError) as corrupt:
            unseal(bytes(sealed), piece=piece)
        assert corrupt.value.chunk == chunk


def test_chunks_in_any_other_order_or_number_are_an_error() -> None:
    sealed = seal(random.Random(4).randbytes(2 * CHUNK + CHUNK // 2))
    head = sealed[:START]
    chunks = [sealed[at : at + SEALED_CHUNK] for at in range(START, len(sealed), SEALED_CHUNK)]

    for count in range(5):
        for order in itertools.product(range(3), repeat=count):
            if order != (0, 1, 2):
                with pytest.raises(ArchiveError):
                    unseal(head + b"".join(chunks[number] for number in order))


def test_a_cut_on_a_chunk_border_is_truncated() -> None:
    sealed = seal(bytes(3 * CHUNK))

    for chunks in range(4):
        with pytest.raises(TruncatedError):
            unseal(sealed[: START + chunks * SEALED_CHUNK])


def test_a_chunk_of_a_sibling_is_an_error() -> None:
    ours, theirs = (seal(bytes(2 * CHUNK)) for _ in range(2))

    for at in (START, START + SEALED_CHUNK):
        with pytest.raises(ChunkCorruptError):
            unseal(ours[:at] + theirs[at : at + SEALED_CHUNK] + ours[at + SEALED_CHUNK :])
    with pytest.raises(WrongKeyError):
        unseal(ours[:32] + theirs[32:])


def test_an_object_opens_in_its_own_role_and_backup_only() -> None:
    sealed = seal(b"x")

    for wrong in (
        {"key": bytes(32)},
        {"role": Role.INDEX},
        {"backup_id": "b2"},
        {"backup_id": "b"},
    ):
        with pytest.raises(WrongKeyError):
            unseal(sealed, **wrong)  # type: ignore[arg-type]  # one of its own parameters


def test_an_unknown_version_suite_or_flag_is_refused() -> None:
    sealed = seal(b"x")

    for at in (*range(12), *range(28, 32)):
        changed = bytearray(sealed)
        changed[at] ^= 2
        with pytest.raises(UnsupportedError):
            unseal(bytes(changed))


@settings(max_examples=150, deadline=None)
@given(some.binary(max_size=400))
def test_random_bytes_never_open_and_never_crash(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        unseal(FileHeader(bytes(16)).encode() + data)
    with pytest.raises(ArchiveError):
        unseal(data)


KNOWN_KEY = "94c3649519a0615443f253db5d9c563ea7edba231a259209f7ec313ffd036ee2"
KNOWN_OBJECT = (
    "894846420d0a1a0a01010000597d2fc6af3265126e969bcb511db46c00000000b5086f1267bba667"
    "4fad400d5747e03d50fc01812cb3a71801a356ff0def2ad7002db7b06dde1847f2478d49148b5a13"
    "ae6e66ef986f2a5af38fdedce7bcb5f84c1b9e727d9c023774123ae84a"
)
