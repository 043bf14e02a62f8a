"""Where the stream is cut: the cuts of a chain may never move, or deduplication dies silently."""

from __future__ import annotations

import hashlib
import random

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as some

from shared.archive.cut import Chunker, CutParameters
from tests.support.archives import text

SECRET = bytes(range(32))
SMALL = CutParameters(minimum=64, average=256, maximum=1024, normalization=2)


def cut(
    data: bytes, sizes: list[int], parameters: CutParameters = SMALL
) -> list[tuple[bytes, int]]:
    chunker = Chunker(parameters, SECRET)
    found, at, turn = [], 0, 0
    while at < len(data):
        piece = data[at : at + sizes[turn % len(sizes)]]
        found += chunker.update(piece)
        at, turn = at + len(piece), turn + 1
    return found + chunker.finish()


def test_the_default_cuts_never_move() -> None:
    chunks = cut(text(300_000, seed=5), [1 << 20], CutParameters())

    assert [length for _, length in chunks[:8]] == GOLDEN_LENGTHS
    listing = "".join(f"{name.hex()} {length}\n" for name, length in chunks)
    assert hashlib.sha256(listing.encode()).hexdigest() == GOLDEN_LISTING


def test_bytes_without_a_pattern_are_cut_where_they_always_were() -> None:
    data = b"".join(hashlib.sha256(bytes([one % 256, one // 256])).digest() for one in range(6000))

    assert [length for _, length in cut(data, [9_999], CutParameters())] == GOLDEN_RANDOM


def test_the_default_average_is_about_8_kib() -> None:
    chunks = cut(text(3_000_000, seed=6), [1 << 20], CutParameters())

    assert 7_000 < 3_000_000 / len(chunks) < 9_500
    assert max(length for _, length in chunks) <= CutParameters().maximum


@settings(max_examples=60, deadline=None)
@given(
    some.binary(max_size=9000),
    some.lists(some.integers(1, 3000), min_size=1, max_size=5),
)
def test_the_cuts_depend_on_the_content_alone(data: bytes, sizes: list[int]) -> None:
    chunks = cut(data, sizes)

    assert chunks == cut(data, [len(data) or 1])
    assert sum(length for _, length in chunks) == len(data)
    at = 0
    for name, length in chunks:
        assert name == blake3(data[at : at + length], key=SECRET).digest(16)
        at += length


@pytest.mark.parametrize("where", [0, 150_000, 299_000])
def test_a_small_edit_changes_few_chunks(where: int) -> None:
    before = text(300_000, seed=7)
    after = before[:where] + b"inserted" + before[where:]

    old = {name for name, _ in cut(before, [65_536], CutParameters())}
    new = {name for name, _ in cut(after, [65_536], CutParameters())}

    assert len(new - old) <= 3


def test_another_secret_gives_other_names() -> None:
    data = random.Random(8).randbytes(50_000)
    ours, theirs = Chunker(SMALL, SECRET), Chunker(SMALL, bytes(32))

    first = {name for name, _ in ours.update(data) + ours.finish()}
    second = {name for name, _ in theirs.update(data) + theirs.finish()}

    assert not first & second


GOLDEN_LENGTHS = [5119, 6794, 4585, 8678, 8562, 8657, 3184, 6128]
GOLDEN_LISTING = "d8fbb167d7f7f82db9cc24b6bd6ed11afada7bc1f63bbf2603c0f179a64f5b20"
GOLDEN_RANDOM = [
    9882,
    8125,
    7663,
    7204,
    7282,
    10572,
    6672,
    9516,
    5183,
    6971,
    2250,
    7012,
    13704,
    8772,
    7319,
    9082,
    13137,
    12366,
    7704,
    2778,
    7828,
    7439,
    7389,
    6150,
]
