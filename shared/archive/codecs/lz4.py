"""LZ4: larger than zstd's, and the cheapest to pack and unpack."""

from __future__ import annotations

from typing import Annotated

import lz4.frame  # type: ignore[import-untyped]  # it ships no types
import msgspec
from msgspec import Meta

from shared.archive.codecs.concatenated import all_unpacked, unpacked
from shared.archive.errors import TrailerMismatchError


class Lz4(msgspec.Struct, tag="lz4", tag_field="kind", frozen=True, forbid_unknown_fields=True):
    """Each frame is one LZ4 frame that states its content size."""

    level: Annotated[
        int, Meta(title="Level", description="0 is fastest, 12 smallest", ge=0, le=12)
    ] = 0

    @property
    def name(self) -> str:
        return "lz4"

    def pack(self, raw: bytes | bytearray | memoryview) -> bytes:
        packed: bytes = lz4.frame.compress(
            raw, compression_level=self.level, block_size=lz4.frame.BLOCKSIZE_MAX1MB
        )
        return packed

    def unpack(self, packed: bytes, raw_length: int) -> bytes:
        return unpacked(_frame, packed, raw_length)

    def unpack_all(self, packed: bytes, raw_length: int) -> bytes:
        return all_unpacked(_frame, packed, raw_length)


def _frame(packed: bytes, most: int) -> tuple[bytes, bytes]:
    """The first frame's content, of at most so many bytes, and what follows it."""
    opened = lz4.frame.LZ4FrameDecompressor()
    try:
        raw = opened.decompress(packed, most + 1)
    except (RuntimeError, EOFError, ValueError) as error:
        raise TrailerMismatchError("a frame cannot be decompressed") from error
    if not opened.eof or len(raw) > most:
        raise TrailerMismatchError("a frame is not as long as the frame table says")
    return raw, opened.unused_data or b""
