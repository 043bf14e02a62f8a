"""What a codec does: turn one frame into its packed form and back."""

from __future__ import annotations

from typing import Protocol


class Codec(Protocol):
    """Frames are independent, and packed frames put together are one valid file of the codec."""

    @property
    def name(self) -> str:
        """What the archive's header calls it."""
        ...

    def pack(self, raw: bytes | bytearray | memoryview) -> bytes:
        """One frame. Called by several threads at once; lets other threads run meanwhile."""
        ...

    def unpack(self, packed: bytes, raw_length: int) -> bytes:
        """At most `raw_length` bytes are ever made; `TrailerMismatchError` unless exactly so."""
        ...

    def unpack_all(self, packed: bytes, raw_length: int) -> bytes:
        """Like `unpack`, for any number of frames put together."""
        ...
