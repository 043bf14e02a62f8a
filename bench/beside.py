"""How the gateway answers while two backups run, against how it answers when nothing does.

    python -m bench.beside [--size-mb 1024]

Reads at a steady pace by one client; the backups, their servers and the platform share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from bench.backups import Bench, bench, fill
from bench.figures import percentile, report

RATE = 50
IDLE_S = 10.0
PATHS = ("/backups?limit=20", "/runs?limit=20", "/servers", "/auth/me")


async def answers(ready: Bench, over: asyncio.Event) -> list[float]:
    """Milliseconds of each answer, asked at `RATE` a second whatever the last ones took."""
    took: list[float] = []
    began, number = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(_answer(ready, PATHS[number % len(PATHS)], due, took))
            number += 1
    return took


async def _answer(ready: Bench, path: str, due: float, took: list[float]) -> None:
    await ready.api.get(path)
    took.append((time.perf_counter() - due) * 1000)


async def while_running(ready: Bench, *work: Any) -> list[float]:
    """The answers for as long as the work takes."""
    over = asyncio.Event()
    asking = asyncio.create_task(answers(ready, over))
    await asyncio.gather(*work)
    over.set()
    return await asking


async def measure(size_mb: int) -> bool:
    """Both figures, and what stands between them."""
    async with bench() as ready:
        for name in ("one", "two"):
            await fill(ready.source, name, size_mb)
        quiet = percentile(await while_running(ready, asyncio.sleep(IDLE_S)), 0.99)
        busy = percentile(
            await while_running(ready, *(ready.back_up(name, "local") for name in ("one", "two"))),
            0.99,
        )
    report("gateway_p99_idle", quiet, "ms")
    report("gateway_p99_beside_two_backups", busy, "ms")
    return report("gateway_p99_busy_vs_idle", busy / quiet, "x")


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=1024)
    options, _ = parser.parse_known_args()
    return 0 if asyncio.run(measure(options.size_mb)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
