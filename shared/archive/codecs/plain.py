"""No compression: for dumps that are compressed already."""

from __future__ import annotations

import msgspec

from shared.archive.errors import TrailerMismatchError


class Plain(msgspec.Struct, tag="none", tag_field="kind", frozen=True, forbid_unknown_fields=True):
    """Frames are stored as they are."""

    @property
    def name(self) -> str:
        return "none"

    def pack(self, raw: bytes | bytearray | memoryview) -> bytes:
        return bytes(raw)

    def unpack(self, packed: bytes, raw_length: int) -> bytes:
        if len(packed) != raw_length:
            raise TrailerMismatchError("a frame is not as long as the frame table says")
        return packed

    def unpack_all(self, packed: bytes, raw_length: int) -> bytes:
        return self.unpack(packed, raw_length)
