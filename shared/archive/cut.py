"""Where the raw stream is cut into chunks, by content, and what each chunk is called."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from blake3 import blake3
from msgspec import Meta
from pyfastcdc import FastCDC

HASH_BYTES = 16
SECRET_BYTES = 32


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
        self._hasher = blake3(key=chain_secret)
        self._rest = b""

    def update(self, data: bytes | bytearray) -> list[tuple[bytes, int]]:
        """The chunks that `data` completes."""
        joint = len(self._rest)
        # Only what the first chunks can reach is copied: joining it all costs as much as hashing.
        head = self._rest + data[: self._maximum]
        found, at = self._cut(head, min(joint - 1, len(head) - self._maximum))
        if at < joint:
            self._rest = head[at:]
            return found
        body = memoryview(data)[at - joint :]
        more, at = self._cut(body, len(body) - self._maximum)
        self._rest = bytes(body[at:])
        return found + more

    def finish(self) -> list[tuple[bytes, int]]:
        """The chunks of what is left."""
        found, _ = self._cut(self._rest, len(self._rest))
        self._rest = b""
        return found

    def _cut(self, data: bytes | memoryview, last: int) -> tuple[list[tuple[bytes, int]], int]:
        """The chunks that begin at `last` or before, and where they end.

        While less than the largest chunk lies ahead, what comes later could still move the cut.
        """
        hasher = self._hasher
        found: list[tuple[bytes, int]] = []
        at = 0
        if last >= 0 and data:
            for chunk in self._cutter.cut_buf(data):
                if at > last:
                    break
                hasher.reset()  # a third cheaper than a new one for each chunk
                found.append((hasher.update(chunk.data).digest(HASH_BYTES), chunk.length))
                at += chunk.length
        return found, at
