"""Where the raw stream is cut into chunks, by content, and what each chunk is called."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from blake3 import blake3
from msgspec import Meta
from pyfastcdc import FastCDC

HASH_BYTES = 16


class CutParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """FastCDC 2020 with the paper's gear table; fixed within a chain. Sizes in bytes.

    These cut a typical dump into chunks of about 8 KiB on average.
    """

    minimum: Annotated[int, Meta(ge=64, le=1 << 20)] = 2048
    average: Annotated[int, Meta(ge=256, le=4 << 20)] = 6656
    maximum: Annotated[int, Meta(ge=1024, le=16 << 20)] = 65536
    normalization: Literal[0, 1, 2, 3] = 2


class Chunker:
    """Feed the stream in any pieces; get (name, length) of each finished chunk, in order.

    A chunk's name is the first 16 bytes of its BLAKE3, keyed with the chain's secret. The cuts
    depend on the content alone, never on the sizes of the pieces.
    """

    def __init__(self, parameters: CutParameters, chain_secret: bytes) -> None:
        self._cutter = FastCDC(
            parameters.average,
            min_size=parameters.minimum,
            max_size=parameters.maximum,
            normalized_chunking=parameters.normalization,
        )
        self._maximum = parameters.maximum
        self._secret = chain_secret
        self._rest = b""

    def update(self, data: bytes | bytearray) -> list[tuple[bytes, int]]:
        """The chunks that `data` completes."""
        return self._cut(self._rest + data, keep=self._maximum)

    def finish(self) -> list[tuple[bytes, int]]:
        """The chunks of what is left."""
        return self._cut(self._rest, keep=0)

    def _cut(self, data: bytes | bytearray, *, keep: int) -> list[tuple[bytes, int]]:
        """Cut while at least `keep` bytes lie ahead: less could move a cut once more comes."""
        found: list[tuple[bytes, int]] = []
        last = len(data) - keep
        at = 0
        if data:
            for chunk in self._cutter.cut_buf(data):
                if chunk.offset > last:
                    break
                name = blake3(chunk.data, key=self._secret).digest(HASH_BYTES)
                found.append((name, chunk.length))
                at = chunk.offset + chunk.length
        self._rest = bytes(data[at:])
        return found
