"""What lies inside a data or log object: a JSON header, frames, and a trailer of 64 bytes."""

from __future__ import annotations

import struct
from typing import TypeVar

import msgspec

from shared.archive.encoding import canonical
from shared.archive.errors import TrailerMismatchError, UnsupportedError

FRAME_BYTES = 1 << 20
MAX_FRAME_BYTES = 16 << 20
TRAILER_BYTES = 64
_TRAILER_MAGIC = b"HFBTRAIL"
_TRAILER = struct.Struct("<8sQQ32sQ")
_LENGTH = struct.Struct("<I")
_MAX_HEADER = 65_536
_T = TypeVar("_T")


class ContentHeader(msgspec.Struct, frozen=True, kw_only=True):
    """How the frames are packed, which tool reads what is in them, and whose dump it is."""

    codec: str
    frame_bytes: int = FRAME_BYTES
    engine: str = ""
    method: str = ""
    tool: str = ""
    tool_version: str = ""
    database: str = ""


class Trailer(msgspec.Struct, frozen=True, kw_only=True):
    """Lengths in bytes before and after packing, SHA-256 of the raw stream, the tool's exit."""

    raw_length: int
    packed_length: int
    raw_sha256: bytes
    exit_flag: int = 0

    def encode(self) -> bytes:
        return _TRAILER.pack(
            _TRAILER_MAGIC, self.raw_length, self.packed_length, self.raw_sha256, self.exit_flag
        )

    @classmethod
    def decode(cls, data: bytes) -> Trailer:
        if len(data) != TRAILER_BYTES or data[:8] != _TRAILER_MAGIC:
            raise TrailerMismatchError("the archive's trailer is not where it belongs")
        _, raw_length, packed_length, raw_sha256, exit_flag = _TRAILER.unpack(data)
        if exit_flag != 0:
            raise TrailerMismatchError("the trailer says that the dump did not end well")
        return cls(raw_length=raw_length, packed_length=packed_length, raw_sha256=raw_sha256)


def encode_preamble(header: object) -> bytes:
    """Length (4 bytes, little-endian), then the header as canonical JSON."""
    text = canonical(header)
    return _LENGTH.pack(len(text)) + text


class Preamble:
    """Reads a JSON header off the front of a stream that comes in pieces."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """(header's JSON, what follows it) once it is complete, else None."""
        self._buffer += data
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > _MAX_HEADER:
            raise UnsupportedError("the inner header is longer than any header can be")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        return self._buffer[_LENGTH.size : end], self._buffer[end:]


def decode_header(text: bytes, kind: type[_T]) -> _T:
    """The header, unknown fields ignored; `UnsupportedError` where a needed one is missing."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: not UTF-8
        raise UnsupportedError("the inner header is not one this release knows") from error
