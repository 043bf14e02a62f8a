"""The end of a stream of text, and its lines as they come."""

from __future__ import annotations

from services.executor.runners.base import OnLine

_LINE_CHARACTERS = 2000


class Lines:
    """Keeps the last `keep` bytes, and hands on each line; memory is bounded by both."""

    def __init__(self, keep: int, on_line: OnLine | None) -> None:
        self._keep, self._on_line = keep, on_line
        self._tail = bytearray()
        self._line = bytearray()

    def add(self, data: bytes | bytearray) -> None:
        self._tail += data
        del self._tail[: -self._keep]
        if self._on_line is None:
            return
        *whole, rest = (bytes(self._line) + data).split(b"\n")
        for line in whole:
            self._say(line)
        self._line = bytearray(rest[: _LINE_CHARACTERS * 4])

    def end(self) -> None:
        """Hand on what stands after the last line break."""
        if self._line:
            self._say(bytes(self._line))
            self._line.clear()

    def tail(self) -> str:
        return self._tail.decode(errors="replace")

    def _say(self, line: bytes) -> None:
        if self._on_line is not None and line.strip():
            self._on_line(line.decode(errors="replace").rstrip("\r")[:_LINE_CHARACTERS])
