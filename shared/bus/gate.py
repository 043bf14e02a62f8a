"""The write gate: facts and settings land only while the auditor vouches for the event log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from shared.errors import PlatformError, UnavailableError

GUARD = "ask.auditor.guard"
PATIENCE_S = 5.0
"""How long an append waits at a closed gate before it gives up."""
ASK_AGAIN_S = 2.0
ASK_AGAIN_CLOSED_S = 0.1
SILENCE_CLOSES_S = 10.0
"""How long no auditor may answer before the gate closes; a standby takes over in less."""

_log = structlog.get_logger()


class Guarded(msgspec.Struct, frozen=True):
    """The auditor's answer; `cause` says why writes are held."""

    ok: bool
    cause: str = ""


def says_ok(answer: bytes) -> bool:
    """Whether the auditor's answer opens the gate; anything unreadable does not."""
    try:
        return msgspec.json.decode(answer, type=Guarded).ok
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def closed() -> UnavailableError:
    """What an append raises that waited too long."""
    return UnavailableError(
        "writes are held: the auditor does not confirm that the event log is intact",
        fix="start the auditor, or run `holdfast repair` if it reports damage",
    )


class Gate:
    """Open while the auditor says so. `shut` is called whenever a connection is lost."""

    def __init__(self, ask: Callable[[], Awaitable[bytes]]) -> None:
        self._ask = ask
        self._open = asyncio.Event()
        self._generation = 0

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def shut(self) -> None:
        """Close; an answer that is already under way does not open it again."""
        self._generation += 1
        self._open.clear()

    async def passed(self) -> None:
        """Return once the gate is open; raises UnavailableError after PATIENCE_S."""
        if self._open.is_set():
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._open.wait()
        except TimeoutError:
            raise closed() from None

    async def watch(self) -> None:
        """Ask for ever: often while closed, now and then while open."""
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while True:
            generation = self._generation
            try:
                ok: bool | None = says_ok(await self._ask())
                heard_at = loop.time()
            except (PlatformError, TimeoutError):
                ok = None
            if ok and generation == self._generation:
                self._open.set()
            elif ok is False or loop.time() - heard_at > SILENCE_CLOSES_S:
                self._close()
            await asyncio.sleep(ASK_AGAIN_S if self.is_open else ASK_AGAIN_CLOSED_S)

    def _close(self) -> None:
        if self.is_open:
            _log.warning("write_gate_closed")
        self.shut()
