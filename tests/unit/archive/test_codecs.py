"""What the codecs write: ordinary frames, no larger than they must be (decision 031)."""

from __future__ import annotations

import hashlib

import pytest
import zstandard

from shared.archive.codecs import Zstd

MEBIBYTE = 1 << 20


def rows(count: int = 8000) -> bytes:
    """A block as `COPY` writes it: numbers, words, hashes, times."""
    words = ("amber", "basket", "cedar", "delta", "ember", "fabric", "garden", "harbor", "island")
    lines = (
        f"{at}\t{hashlib.md5(b'%d' % at, usedforsecurity=False).hexdigest()}\t"
        f"{words[at % 9]} {words[at // 9 % 9]} {words[at // 81 % 9]}\t"
        f"2026-11-27 12:{at % 60:02}:00.{at * 7919 % 1000000:06}+00\t{at * 7907 % 100000 / 100}\n"
        for at in range(count)
    )
    return "".join(lines).encode()[:MEBIBYTE]


def test_level_3_is_about_as_small_as_zstds_own() -> None:
    block = rows()

    own = zstandard.ZstdCompressor(level=3).compress(block)
    assert len(Zstd().pack(block)) <= 1.03 * len(own)


@pytest.mark.parametrize("level", [1, 3, 5])
@pytest.mark.parametrize("block", [b"", b"a", bytes(MEBIBYTE), rows()], ids=len)
def test_what_is_packed_is_an_ordinary_frame_that_states_its_length(
    level: int, block: bytes
) -> None:
    packed = Zstd(level=level).pack(block)

    assert zstandard.frame_content_size(packed) == len(block)
    assert zstandard.ZstdDecompressor().decompress(packed, max_output_size=len(block)) == block


def test_other_levels_are_zstds_own() -> None:
    block = rows(2000)

    assert Zstd(level=5).pack(block) == zstandard.ZstdCompressor(level=5).compress(block)
