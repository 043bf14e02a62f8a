"""The 32 fixed bytes every encrypted object begins with."""

from __future__ import annotations

import secrets
from enum import StrEnum

import msgspec

from shared.archive.errors import TruncatedError, UnsupportedError

MAGIC = b"\x89HFB\r\n\x1a\n"
HEADER_BYTES = 32
_VERSION = 1
_SUITE = 1
_FIXED = MAGIC + bytes([_VERSION, _SUITE, 0, 0])
_ZERO = bytes(4)


class Role(StrEnum):
    """Which of an archive's encrypted objects this is; part of its key and of its context."""

    DATA = "data"
    INDEX = "index"
    LOG = "log"


class FileHeader(msgspec.Struct, frozen=True):
    """Magic, version 1, suite 1 (Cobblestone-256), no flags, a random file id, four zeros."""

    file_id: bytes

    @classmethod
    def new(cls) -> FileHeader:
        return cls(secrets.token_bytes(16))

    @classmethod
    def decode(cls, data: bytes) -> FileHeader:
        """`UnsupportedError` for anything but exactly what `encode` writes."""
        if len(data) < HEADER_BYTES:
            raise TruncatedError("the object ends inside its header")
        if data[: len(MAGIC)] != MAGIC:
            raise UnsupportedError("this is not a Holdfast archive, or it was sent as text")
        if data[: len(_FIXED)] != _FIXED or data[28:HEADER_BYTES] != _ZERO:
            raise UnsupportedError("the archive is of a version this release does not know")
        return cls(bytes(data[12:28]))

    def encode(self) -> bytes:
        return _FIXED + self.file_id + _ZERO
