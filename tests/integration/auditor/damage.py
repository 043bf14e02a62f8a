"""Ways to damage the files of a running, stopped or killed nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from shared.messages.base import Fact
from tests.integration.auditor.house import House
from tests.support.nats import Nats
from tests.unit.auditor.events import backup_requested

NOTE_BYTES = 500_000
BLOCKS = 3


def blocks(nats: Nats) -> list[Path]:
    """The files that hold the messages of EVENTS, in order."""
    found = nats.store.glob("jetstream/*/streams/EVENTS/msgs/*.blk")
    return sorted(found, key=lambda path: int(path.stem))


async def fill(house: House) -> list[Fact]:
    """Append real requests with long notes until the stream has BLOCKS files; returns them."""
    said: list[Fact] = []
    while len(blocks(house.nats)) < BLOCKS or len(said) % 5:
        said.append(backup_requested("x" * NOTE_BYTES))
        await house.bus.append(said[-1])
    return said


def flip(path: Path, at: float = 0.5) -> None:
    """Turn over one bit, `at` of the way into the file."""
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * at))
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x10]))


async def after_a_clean_stop(nats: Nats, deed: Callable[[], None]) -> None:
    await asyncio.to_thread(nats.stop)
    deed()
    await asyncio.to_thread(nats.start)


async def after_kill_9(nats: Nats, deed: Callable[[], None]) -> None:
    nats.kill9()
    deed()
    await asyncio.to_thread(nats.start)


async def live(nats: Nats, deed: Callable[[], None]) -> None:
    deed()


WAYS: dict[str, Callable[[Nats, Callable[[], None]], Awaitable[None]]] = {
    "stopped": after_a_clean_stop,
    "killed": after_kill_9,
    "live": live,
}
