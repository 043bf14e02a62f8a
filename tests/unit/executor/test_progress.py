"""What a run says while it runs."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

from services.executor.plan import Progress
from services.executor.progress import RunLog
from shared.bus.base import LOGS
from shared.bus.memory import MemoryBus
from shared.messages.output import OutputLine, OutputProgress


def run_log(bus: MemoryBus) -> RunLog:
    return RunLog(bus, "core", uuid4(), 1)


def said(bus: MemoryBus) -> list[object]:
    return [one.message for one in bus.server.stream(LOGS).after(0)]


async def test_at_most_four_messages_a_second_and_the_last_progress_counts() -> None:
    bus, began = MemoryBus(), time.monotonic()
    async with run_log(bus).saying() as log:
        for number in range(100):
            log.line("info", f"line {number}")
            log.progress(Progress(stage="data", raw_bytes=number, packed_bytes=number // 2))
            await asyncio.sleep(0.011)

    heard, seconds = said(bus), time.monotonic() - began
    assert len(heard) <= 4 * (seconds + 1)
    lines = "\n".join(one.text for one in heard if isinstance(one, OutputLine)).split("\n")
    progress = [one for one in heard if isinstance(one, OutputProgress)]
    assert lines == [f"line {number}" for number in range(100)]
    assert (progress[-1].raw_bytes, progress[-1].stored_bytes) == (99, 49)


async def test_no_secret_stands_in_a_line() -> None:
    bus = MemoryBus()
    async with run_log(bus).saying() as log:
        log.hide(["canary-secret", ""])
        log.tool('FATAL: password "canary-secret" is wrong')
        kept = b"".join([part async for part in log.content()])

    (line,) = said(bus)
    assert isinstance(line, OutputLine)
    assert (line.level, line.text) == ("warning", 'FATAL: password "***" is wrong')
    assert b"canary" not in kept
    assert b'password "***"' in kept


async def test_a_chatty_tool_fills_no_memory_and_the_end_is_kept() -> None:
    bus = MemoryBus()
    log = run_log(bus)
    for number in range(60_000):
        log.tool(f"{number} " + "x" * 100)

    kept = b"".join([part async for part in log.content()])

    assert len(kept) < 5 << 20
    assert b" warning 0 x" in kept
    assert b" warning 59999 x" in kept
    assert b"lines left out" in kept
