"""What a run says while it runs: at most four messages a second, and its log in the end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from services.executor.plan import Progress
from shared.bus import Bus
from shared.messages.base import now
from shared.messages.output import OutputLine, OutputProgress

# Two messages each time, lines and progress: four a second.
_EVERY_S = 0.5
_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 3 << 20
_UNSAID_LINES = 1000
_MESSAGE_CHARACTERS = 64 << 10
_SHORTEST_SECRET = 4
_LEVELS = ("debug", "info", "warning", "error")


class RunLog:
    """The log and the progress of one attempt. Memory is bounded; secrets are blacked out."""

    def __init__(self, bus: Bus, pool: str, run_id: UUID, attempt: int) -> None:
        self._bus, self._pool, self._run_id, self._attempt = bus, pool, run_id, attempt
        self._secrets: list[str] = []
        self._unsaid: deque[tuple[str, str]] = deque(maxlen=_UNSAID_LINES)
        self._kept = _Kept()
        self._progress: Progress | None = None
        self._total: int | None = None
        self._began = time.monotonic()

    def hide(self, secrets: Sequence[str]) -> None:
        """Never let these stand in a line."""
        self._secrets += [one for one in secrets if len(one) >= _SHORTEST_SECRET]

    def line(self, level: str, text: str) -> None:
        """One line; `level` is debug, info, warning or error."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self._unsaid.append((level, text))
        self._kept.add(f"{now().isoformat()} {level} {text}\n".encode())

    def tool(self, text: str) -> None:
        """One line of a tool's standard error."""
        self.line("warning", text)

    def progress(self, progress: Progress) -> None:
        """How far the run is; only the last of a moment is said."""
        self._progress = progress

    def expect(self, total_bytes: int | None) -> None:
        """How many raw bytes there will be, roughly."""
        self._total = total_bytes

    async def content(self) -> AsyncIterator[bytes]:
        """The log so far, for the archive: its beginning and its end if it is too long."""
        for part in self._kept.parts():
            yield part

    @asynccontextmanager
    async def saying(self) -> AsyncIterator[RunLog]:
        """Send what comes while the block runs, and the rest at its end."""
        talking = asyncio.create_task(self._talk())
        try:
            yield self
        finally:
            talking.cancel()
            await asyncio.wait({talking})
            await self._say()

    async def _talk(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._say()

    async def _say(self) -> None:
        lines = list(self._unsaid)
        self._unsaid.clear()
        if lines:
            await self._bus.say(
                OutputLine(
                    pool=self._pool,
                    run_id=self._run_id,
                    attempt=self._attempt,
                    level=max((level for level, _ in lines), key=_LEVELS.index),
                    text="\n".join(text for _, text in lines)[-_MESSAGE_CHARACTERS:],
                )
            )
        progress, self._progress = self._progress, None
        if progress is not None:
            seconds = max(time.monotonic() - self._began, 0.001)
            await self._bus.say(
                OutputProgress(
                    pool=self._pool,
                    run_id=self._run_id,
                    attempt=self._attempt,
                    stage=progress.stage,
                    raw_bytes=progress.raw_bytes,
                    stored_bytes=progress.packed_bytes,
                    total_bytes=self._total,
                    bytes_per_s=round(progress.raw_bytes / seconds, 1),
                )
            )


class _Kept:
    """The first MiB and the last three of a text, in lines."""

    def __init__(self) -> None:
        self._head: list[bytes] = []
        self._tail: deque[bytes] = deque()
        self._head_bytes = self._tail_bytes = self._dropped = 0

    def add(self, line: bytes) -> None:
        if not self._tail and self._head_bytes + len(line) <= _HEAD_BYTES:
            self._head.append(line)
            self._head_bytes += len(line)
            return
        self._tail.append(line)
        self._tail_bytes += len(line)
        while self._tail_bytes > _TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())
            self._dropped += 1

    def parts(self) -> list[bytes]:
        gap = [f"... {self._dropped} lines left out ...\n".encode()] if self._dropped else []
        return [b"".join(self._head), *gap, b"".join(self._tail)]
