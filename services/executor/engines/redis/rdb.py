"""Reads an RDB file as it comes: its keys, each with its value as `RESTORE` takes it.

The format is told by Redis' rdb.c (versions 1 to 12). Values are not decoded, only measured; so a
stream's inside is passed over, and a key costs about 5 microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from anycrc import Model  # type: ignore[import-untyped]  # it ships no types

from services.executor.engines.base import NotADumpError, VersionError

OLDEST, NEWEST = 5, 12
_EOF, _SELECT, _EXPIRE_S, _EXPIRE_MS, _RESIZE, _AUX = 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA
_FREQ, _IDLE, _MODULE_AUX, _FUNCTION, _SLOT = 0xF9, 0xF8, 0xF7, 0xF5, 0xF4
_ONE = {0, 9, 10, 11, 12, 13, 16, 17, 20}
"""Values that are one string."""
_LISTS = {1: 1, 2: 1, 4: 2, 14: 1}
"""Values that are a count and as many strings, or pairs of them."""


class Key(msgspec.Struct, frozen=True, gc=False):
    """One key: its database's number, when it expires (Unix time in ms), its payload's parts."""

    database: int
    name: bytes
    value: bytes
    expires_ms: int | None


class Function(msgspec.Struct, frozen=True):
    """A library of functions, as `FUNCTION LOAD` takes it."""

    code: bytes


class _MoreError(Exception):
    """The buffer ends inside an entry."""


class RdbReader:
    """Feed it the file in any pieces; `finish` says whether it was all there.

    At most one key is held in memory, however large it is. Raises NotADumpError for anything that
    no RDB file is, VersionError for what this release does not know.
    """

    def __init__(self) -> None:
        self.version = 0
        self._buffer = bytearray()
        self._wanted = 9
        self._database = 0
        self._expires: int | None = None
        self._crc = 0
        self._ended = False

    def feed(self, data: bytes | bytearray) -> Iterator[Key | Function]:
        """What `data` completes."""
        self._buffer += data
        while not self._ended and len(self._buffer) >= self._wanted:
            end = 0
            try:
                while not self._ended:
                    entry, end = self._entry(end)
                    if entry is not None:
                        yield entry
                self._wanted = 1
            except _MoreError:
                left = len(self._buffer) - end
                # A large value is not measured again for each piece that comes.
                self._wanted = left + max(1, min(left // 2, 8 << 20))
            self._crc = _crc.calc(bytes(self._buffer[:end]), self._crc)
            del self._buffer[:end]

    def finish(self) -> list[Key | Function]:
        """What was waiting for more; NotADumpError unless that reaches the end, and the file's own
        checksum is right."""
        self._wanted = 1
        rest = [*self.feed(b"")]
        if not self._ended or len(self._buffer) != 8:
            raise NotADumpError("the dump ends before its end, or goes on after it")
        told = int.from_bytes(self._buffer, "little")
        if told not in {0, self._crc}:  # 0: the server was told to write none
            raise NotADumpError("the dump's own checksum does not fit")
        return rest

    def footer(self, payload: bytes) -> bytes:
        """What `RESTORE` wants behind a payload: the version, and a checksum of it all."""
        body = payload + self.version.to_bytes(2, "little")
        return body + int(_crc.calc(body)).to_bytes(8, "little")

    def _entry(self, at: int) -> tuple[Key | Function | None, int]:
        if not self.version:
            return None, self._header(at)
        code, after = self._byte(at)
        skip = _PASSED.get(code)
        if skip is not None:
            return None, skip(self, after)
        if code == _EOF:
            self._ended = True
            return None, after
        if code == _FUNCTION:
            text, end = self._string(after)
            return Function(text), end
        end = self._of_keys(code, after)
        return (None, end) if end else self._key(code, after)

    def _of_keys(self, code: int, at: int) -> int:
        """Over what is said of the keys that follow; 0 where this is a key itself."""
        if code == _SELECT:
            self._database, at = self._length(at)
            return at
        if code in {_EXPIRE_MS, _EXPIRE_S}:
            end = self._skip(at, 8 if code == _EXPIRE_MS else 4)
            number = int.from_bytes(self._buffer[at:end], "little")
            self._expires = number if code == _EXPIRE_MS else number * 1000
            return end
        return 0

    def _header(self, at: int) -> int:
        end = self._skip(at, 9)
        found = bytes(self._buffer[at:end])
        if not found.startswith(b"REDIS") or not found[5:].isdigit():
            raise NotADumpError("this is no RDB file")
        self.version = int(found[5:])
        if not OLDEST <= self.version <= NEWEST:
            raise VersionError(f"the dump is of RDB version {self.version}")
        return end

    def _key(self, code: int, at: int) -> tuple[Key, int]:
        name, begin = self._string(at)
        end = self._value(code, begin)
        expires, self._expires = self._expires, None
        return Key(self._database, name, bytes([code]) + self._buffer[begin:end], expires), end

    def _value(self, code: int, at: int) -> int:
        if code in _ONE:
            return self._pass(at)
        if code in _LISTS:
            count, at = self._length(at)
            for _ in range(count * _LISTS[code]):
                at = self._pass(at)
            return at
        measure = _VALUES.get(code)
        if measure is None:
            raise VersionError(f"the dump holds a value of a kind ({code}) that is not known")
        return measure(self, at)

    def _byte(self, at: int) -> tuple[int, int]:
        if at >= len(self._buffer):
            raise _MoreError
        return self._buffer[at], at + 1

    def _skip(self, at: int, count: int) -> int:
        if at + count > len(self._buffer):
            raise _MoreError
        return at + count

    def _length(self, at: int) -> tuple[int, int]:
        number, at, special = self._encoded(at)
        if special:
            raise NotADumpError("the dump holds a string where a number belongs")
        return number, at

    def _encoded(self, at: int) -> tuple[int, int, bool]:
        """A length, or the number of a special encoding of a string."""
        first, at = self._byte(at)
        kind = first >> 6
        if kind == 0:
            return first & 63, at, False
        if kind == 1:
            second, at = self._byte(at)
            return (first & 63) << 8 | second, at, False
        if kind == 3:
            return first & 63, at, True
        width = {0x80: 4, 0x81: 8}.get(first)
        if width is None:
            raise NotADumpError("the dump holds a length of no known form")
        end = self._skip(at, width)
        return int.from_bytes(self._buffer[at:end], "big"), end, False

    def _pass(self, at: int) -> int:
        """Over one string."""
        length, at, special = self._encoded(at)
        if not special:
            return self._skip(at, length)
        if length in {0, 1, 2}:
            return self._skip(at, 1 << length)
        if length == 3:
            packed, at = self._length(at)
            _, at = self._length(at)
            return self._skip(at, packed)
        raise NotADumpError("the dump holds a string of no known form")

    def _string(self, at: int) -> tuple[bytes, int]:
        length, begin, special = self._encoded(at)
        end = self._pass(at)
        if not special:
            return bytes(self._buffer[begin:end]), end
        if length < 3:
            number = int.from_bytes(self._buffer[begin:end], "little", signed=True)
            return str(number).encode(), end
        _, begin = self._length(begin)
        raw, begin = self._length(begin)
        return _lzf(bytes(self._buffer[begin:end]), raw), end

    def _strings(self, at: int, count: int) -> int:
        for _ in range(count):
            at = self._pass(at)
        return at

    def _numbers(self, at: int, count: int) -> int:
        for _ in range(count):
            _, at = self._length(at)
        return at


def _zset(reader: RdbReader, at: int) -> int:
    count, at = reader._length(at)
    for _ in range(count):
        at = reader._pass(at)
        length, at = reader._byte(at)
        at = reader._skip(at, 0 if length >= 253 else length)
    return at


def _zset2(reader: RdbReader, at: int) -> int:
    count, at = reader._length(at)
    for _ in range(count):
        at = reader._skip(reader._pass(at), 8)
    return at


def _quicklist2(reader: RdbReader, at: int) -> int:
    count, at = reader._length(at)
    for _ in range(count):
        at = reader._pass(reader._numbers(at, 1))
    return at


def _hash_with_times(reader: RdbReader, at: int) -> int:
    at = reader._skip(at, 8)
    count, at = reader._length(at)
    for _ in range(count):
        at = reader._strings(reader._numbers(at, 1), 2)
    return at


def _listpack_with_times(reader: RdbReader, at: int) -> int:
    return reader._pass(reader._skip(at, 8))


def _module(reader: RdbReader, at: int) -> int:
    at = reader._numbers(at, 1)
    return _module_fields(reader, at)


def _module_aux(reader: RdbReader, at: int) -> int:
    return _module_fields(reader, reader._numbers(at, 3))


def _module_fields(reader: RdbReader, at: int) -> int:
    while True:
        kind, at = reader._length(at)
        if kind == 0:
            return at
        if kind in {1, 2}:
            at = reader._numbers(at, 1)
        elif kind in {3, 4}:
            at = reader._skip(at, 4 if kind == 3 else 8)
        elif kind == 5:
            at = reader._pass(at)
        else:
            raise NotADumpError("the dump holds a module's value of no known form")


def _stream(form: int) -> Callable[[RdbReader, int], int]:
    """Form 1 to 3: what later versions added to it."""

    def measure(reader: RdbReader, at: int) -> int:
        nodes, at = reader._length(at)
        at = reader._strings(at, 2 * nodes)
        at = reader._numbers(at, 3 if form == 1 else 8)
        groups, at = reader._length(at)
        for _ in range(groups):
            at = reader._numbers(reader._pass(at), 2 if form == 1 else 3)
            pending, at = reader._length(at)
            for _ in range(pending):
                at = reader._numbers(reader._skip(at, 24), 1)
            consumers, at = reader._length(at)
            for _ in range(consumers):
                at = reader._skip(reader._pass(at), 16 if form == 3 else 8)
                owned, at = reader._length(at)
                at = reader._skip(at, 16 * owned)
        return at

    return measure


_VALUES: dict[int, Callable[[RdbReader, int], int]] = {
    3: _zset,
    5: _zset2,
    7: _module,
    15: _stream(1),
    18: _quicklist2,
    19: _stream(2),
    21: _stream(3),
    24: _hash_with_times,
    25: _listpack_with_times,
}
_PASSED: dict[int, Callable[[RdbReader, int], int]] = {
    _AUX: lambda reader, at: reader._strings(at, 2),
    _RESIZE: lambda reader, at: reader._numbers(at, 2),
    _SLOT: lambda reader, at: reader._numbers(at, 3),
    _IDLE: lambda reader, at: reader._numbers(at, 1),
    _FREQ: lambda reader, at: reader._skip(at, 1),
    _MODULE_AUX: _module_aux,
}
_crc = Model("CRC64-REDIS")


def _lzf(packed: bytes, length: int) -> bytes:
    """Marc Lehmann's LZF, of which servers make use for longer strings."""
    out, at = bytearray(), 0
    while at < len(packed) and len(out) <= length:
        control = packed[at]
        at += 1
        if control < 32:
            out += packed[at : at + control + 1]
            at += control + 1
            continue
        run = control >> 5
        if run == 7:
            run += packed[at]
            at += 1
        distance = ((control & 31) << 8 | packed[at]) + 1
        at += 1
        if distance > len(out):
            break
        for _ in range(run + 2):
            out.append(out[-distance])
    if len(out) != length:
        raise NotADumpError("the dump holds a packed key that cannot be unpacked")
    return bytes(out)
