"""The auditor: follows the log into Postgres, signs what it wrote, vouches for the stream."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import msgspec
import structlog
from uuid_utils.compat import uuid7

from services.auditor.clock_watch import ClockWatch
from services.auditor.floors import Floors
from services.auditor.follower import Follower
from services.auditor.guard import Guard
from services.auditor.history import History
from services.auditor.line import Line
from services.auditor.mirror import KeyMirror
from services.auditor.notary import Notary
from services.auditor.pins import Anchor, check_key
from services.auditor.settings import Settings
from services.auditor.writer import Writer, connected
from shared.bus import Bus
from shared.bus.base import AUDIT_CKPT
from shared.bus.gate import GUARD, Guarded
from shared.bus.lease import apart, led
from shared.errors import UnavailableError
from shared.keys.audit import AuditKey

LEASE = "auditor"
CHECKPOINTS = "ckpt.audit"
AGAIN_S = 0.5
AWAY = Guarded(ok=False, cause="the auditor cannot reach Postgres")

_log = structlog.get_logger()


class Auditor:
    """One active by lease; a standby waits in `work` until the lease is free."""

    def __init__(
        self, bus: Bus, line: Line, settings: Settings, key: AuditKey, *, name: str
    ) -> None:
        self._bus, self._line, self._settings, self._key = bus, line, settings, key
        self._name = name
        self._guard: Guard | None = None
        self._answering = self._leading = False

    async def work(self) -> None:
        """For ever: wait for the lease, lead while it is held; raises when the lead is lost."""
        await led(self._bus, LEASE, self._name, self._lead)

    async def _lead(self) -> None:
        if not self._answering:
            await self._bus.answer(GUARD, self._answer)
            self._answering = True
        self._leading = True
        try:
            await self._audit_for_ever()
        finally:
            self._leading, self._guard = False, None

    async def _audit_for_ever(self) -> None:
        url = self._settings.database_url
        while True:
            try:
                await apart(partial(self._lead_once, url))
            except* UnavailableError as errors:
                _log.warning("interrupted", cause=str(errors.exceptions[0]))
            self._guard = None
            await asyncio.sleep(AGAIN_S)

    async def _lead_once(self, url: str) -> None:
        async with AsyncExitStack() as stack:
            writing = await stack.enter_async_context(connected(url))
            reading = await stack.enter_async_context(connected(url))
            await check_key(reading, self._key.succession)
            await self._audit(await Writer.take_over(writing), History(reading))

    async def _audit(self, writer: Writer, history: History) -> None:
        settings = self._settings
        guard = Guard(
            self._bus,
            history,
            check_every_s=settings.check_every_s,
            scrub_every_s=settings.scrub_every_s,
        )
        anchor = Anchor(self._bus, writer, self._key.succession)
        mirror = KeyMirror(self._bus, writer, guard)
        notary = Notary(writer, self._key, self._publish, every_s=settings.checkpoint_every_s)
        watch = ClockWatch(self._bus)
        hear = [mirror.wrote, anchor.wrote, notary.wrote, watch.wrote]
        follower = Follower(self._bus, writer, guard, hear, audit_keys=self._key.succession.keys)
        last = await anchor.last()
        if last is not None and writer.seq >= last.size:
            await anchor.reached(last)
        self._guard = guard
        with self._line.when_cut(guard.doubt):
            async with asyncio.TaskGroup() as group:
                for part in (guard, follower, mirror, watch, Floors(self._line, writer, guard)):
                    group.create_task(part.work())
                if last is not None:
                    await anchor.reached(last)
                group.create_task(notary.work())

    async def _publish(self, note: str) -> None:
        await self._bus.keep(AUDIT_CKPT, CHECKPOINTS, note.encode(), key=str(uuid7()))

    async def _answer(self, _question: bytes) -> bytes | None:
        """Only who leads knows; one that stood down leaves the answer to its successor."""
        if not self._leading:
            return None
        return msgspec.json.encode(self._guard.verdict if self._guard else AWAY)
