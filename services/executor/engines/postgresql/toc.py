"""The beginning of a custom-format dump: who wrote it, and what database it was."""

from __future__ import annotations

import re

import msgspec

from services.executor.engines.base import Bytes, NotADumpError

_MAGIC = b"PGDMP"
_CUSTOM = 1
_OLDEST, _NEWEST = (1, 14), (1, 16)
_NO_STRING = -1
# The entry about the database itself is the fourth; extensions and tables come after.
_ENTRIES_READ = 8
_MOST_BYTES = 4 << 20
_OPTION = re.compile(
    r"(ENCODING|LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|BUILTIN_LOCALE|ICU_RULES)"
    r" = ('(?:[^'\\]|'')*'|libc|icu|builtin)"
)


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The dumped server's major version, and `CREATE DATABASE` options that make its like."""

    major: int
    options: str = ""


class _TooShortError(Exception):
    """More bytes are needed."""


async def read_origin(source: Bytes) -> tuple[Origin, bytes]:
    """The origin, and the bytes taken from `source` to learn it."""
    taken = b""
    async for piece in source:
        taken += piece
        try:
            return _Reader(taken).origin(), taken
        except _TooShortError:
            if len(taken) > _MOST_BYTES:
                break
    raise NotADumpError("this is not a dump of pg_dump in its custom format")


class _Reader:
    """Reads the integers and strings of the format from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._int_size = self._offset_size = 4

    def origin(self) -> Origin:
        if self._take(len(_MAGIC)) != _MAGIC:
            raise NotADumpError("this is not a dump of pg_dump in its custom format")
        version = self._byte(), self._byte()
        self._byte()
        self._int_size, self._offset_size, kind = self._byte(), self._byte(), self._byte()
        if kind != _CUSTOM or not _OLDEST <= version <= _NEWEST:
            raise NotADumpError("this version of pg_dump's format is not known")
        if version >= (1, 15):
            self._byte()  # how it is compressed
        else:
            self._int()
        for _ in range(7):
            self._int()  # when it was made
        self._string()
        major = _major(self._string())
        self._string()
        return Origin(major=major, options=self._options(version))

    def _options(self, version: tuple[int, int]) -> str:
        for _ in range(min(self._int(), _ENTRIES_READ)):
            kind, definition = self._entry(version)
            if kind == "DATABASE":
                return " ".join(f"{name} = {value}" for name, value in _OPTION.findall(definition))
        return ""

    def _entry(self, version: tuple[int, int]) -> tuple[str, str]:
        self._int()
        self._int()
        for _ in range(3):
            self._string()  # oids and tag
        kind = self._string()
        self._int()
        definition = self._string()
        for _ in range(5):
            self._string()  # drop, copy, schema, tablespace, access method
        if version >= (1, 16):
            self._int()
        self._string()  # owner
        self._string()
        while self._string():
            pass  # what it depends on
        self._take(1 + self._offset_size)
        return kind, definition

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise _TooShortError
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def _byte(self) -> int:
        return self._take(1)[0]

    def _int(self) -> int:
        negative = self._byte()
        size = int.from_bytes(self._take(self._int_size), "little")
        return -size if negative else size

    def _string(self) -> str:
        length = self._int()
        return "" if length <= _NO_STRING else self._take(length).decode(errors="replace")


def _major(version: str) -> int:
    digits = re.match(r"\d+", version)
    if digits is None:
        raise NotADumpError("the dump does not say which server it is from")
    return int(digits[0])
