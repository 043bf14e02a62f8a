"""Appends through our bus against nats-py's bare publish, on the same server in the same run.

    python -m bench.events [--count 2000] [--rounds 3]

The server syncs each write. `serial` waits for each answer; `in flight` keeps 256 under way.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import nats

from bench.figures import report
from shared.bus.bootstrap import bootstrap
from shared.bus.jetstream import BusSettings, connect
from shared.messages import wire
from shared.messages.facts import BackupExpired
from tests.support.nats import nats_server

IN_FLIGHT = 256
BAR = 0.7
"""The bus adds validation, a task and a time limit to each publish; more would be waste."""

Publish: TypeAlias = Callable[[], Awaitable[Any]]


def fact() -> BackupExpired:
    return BackupExpired(backup_id=uuid4(), reason="keep_last")


async def rate(publish: Publish, count: int, in_flight: int) -> float:
    """Publishes a second, `in_flight` at a time."""
    left = iter(range(count))

    async def lane() -> None:
        for _ in left:
            await publish()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(lane())
    return count / (time.perf_counter() - began)


async def measured(url: str, count: int, rounds: int) -> list[tuple[int, float, float]]:
    """In flight, the bus's rate and the bare rate: medians of alternating rounds."""
    settings = BusSettings(nats_url=url)
    await bootstrap(settings)
    client = await nats.connect(url)
    stream = client.jetstream()

    async def bare() -> None:
        message = fact()
        headers = wire.headers(message, "bench")
        await stream.publish(message.subject, wire.encode(message), headers=headers, timeout=5)

    found: list[tuple[int, float, float]] = []
    async with connect(settings, source="bench", gate=False) as bus:

        async def ours() -> None:
            await bus.append(fact())

        for in_flight in (1, IN_FLIGHT):
            both = [
                (await rate(ours, count, in_flight), await rate(bare, count, in_flight))
                for _ in range(rounds)
            ]
            bus_rate, bare_rate = (statistics.median(side) for side in zip(*both, strict=True))
            found.append((in_flight, bus_rate, bare_rate))
    await client.close()
    return found


def main() -> int:
    """Print the figures; 1 when one misses its bar."""
    parser = argparse.ArgumentParser(prog="bench.events")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    given, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder, nats_server(Path(folder) / "nats") as server:
        found = asyncio.run(measured(server.url, given.count, given.rounds))
    good = True
    for in_flight, ours, bare in found:
        name = f"events through the bus, {in_flight} in flight"
        report(name, ours, "1/s")
        report(f"{name}, bare", bare, "1/s")
        good &= report(f"{name}, ratio to bare", ours / bare, "x", at_least=BAR)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
