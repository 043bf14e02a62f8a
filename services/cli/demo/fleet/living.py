"""Sample data: what moves while somebody looks at it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec

from services.cli.demo.fleet.databases import MB, Fleet
from services.launcher.installation import SERVICES
from shared.bus import Bus
from shared.messages.output import OutputLine, OutputProgress
from shared.serving import Beat
from shared.version import version

REAL = {"gateway", "auditor", "executor"}
"""They run and beat by themselves; the others only seem to."""
TOGETHER = 40
"""Lines that a tool says at once come as one message."""
ALL_MB = 184_000
READ_MB = 180_000
"""The running backup never ends, for nobody makes it."""


@asynccontextmanager
async def alive(bus: Bus, voice: Bus, fleet: Fleet) -> AsyncIterator[None]:
    """While the block runs, services beat and the running backups make progress."""

    async def beat() -> None:
        done = 61_000
        while True:
            for service in SERVICES:
                if service not in REAL:
                    said = Beat(
                        service=service, replica="sample", pid=1, host="sample", version=version()
                    )
                    await bus.kv("beats").put(
                        f"service.{service}.sample", msgspec.json.encode(said)
                    )
            rate = 170 + secrets.randbelow(90)
            done = min(done + rate, READ_MB)
            for run_id in fleet.running:
                await voice.say(_progress(run_id, done * MB, rate * MB))
            await asyncio.sleep(1.0)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})


def _progress(run_id: UUID, done: int, rate: int) -> OutputProgress:
    return OutputProgress(
        run_id=run_id,
        attempt=1,
        stage="data",
        raw_bytes=done,
        stored_bytes=done * 10 // 34,
        total_bytes=ALL_MB * MB,
        bytes_per_s=float(rate),
    )


async def talk(voice: Bus, run_id: UUID, lines: int) -> None:
    """Say a log of a run, of so many lines."""

    async def line(level: str, text: str) -> None:
        await voice.say(OutputLine(run_id=run_id, attempt=1, level=level, text=text))

    await line("info", "attempt 1 begins")
    await line("info", "pg_dump 18.1 reads from a server of version 17.6")
    for at in range(2, lines, TOGETHER):
        if at % 7 == 0:
            await line("warning", f"table public.cache_{at} is unlogged: its rows are not dumped")
        numbers = range(at, min(lines, at + TOGETHER) - (at % 7 == 0))
        text = "\n".join(f"dumping contents of table public.measurements_{it}" for it in numbers)
        await line("info" if at % 3 else "debug", text)
