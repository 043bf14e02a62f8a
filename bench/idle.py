"""What a platform costs on which nothing happens.

    python -m bench.idle [--seconds 300]

The platform as `holdfast up` runs it, with an administrator and nobody signed in. Counted are the
processor time of all eight services together, and the events that the log has more at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil

from bench.figures import report
from bench.projection import as_gateway
from services.cli.demo.api import first_admin
from services.launcher.directory import DataDirectory
from services.launcher.up import Platform, running
from shared.bus.base import EVENTS
from shared.bus.jetstream import connect

SETTLE_S = 30.0


def busy_s(processes: Iterable[int]) -> float:
    """Processor seconds that these processes have used, children not counted."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in processes)


async def share_of_a_core(processes: Iterable[int], seconds: float) -> float:
    """Percent of one core that these processes use in the next `seconds`."""
    pids, loop = list(processes), asyncio.get_running_loop()
    before, began = busy_s(pids), loop.time()
    await asyncio.sleep(seconds)
    return (busy_s(pids) - before) / (loop.time() - began) * 100


async def measure(seconds: float) -> bool:
    """Both figures; whether each reaches its bar."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        async with running(DataDirectory(Path(name) / "home")) as platform:
            token = platform.first_admin_token
            assert token is not None
            async with first_admin(platform.url, token, "bench-bench-1"):
                pass
            await asyncio.sleep(SETTLE_S)
            return await _idle(platform, seconds)


async def _idle(platform: Platform, seconds: float) -> bool:
    services = [child.pid for child in platform.children.values()]
    async with connect(as_gateway(platform.installation), source="bench") as bus:
        before = (await bus.state(EVENTS)).last_seq
        share = await share_of_a_core(services, seconds)
        appended = (await bus.state(EVENTS)).last_seq - before
    good = report("idle_services", share, "%", at_most=10)
    return good & report("idle_events_per_hour", appended * 3600 / seconds, "", at_most=0)


def main() -> int:
    """Measure and report; 1 when a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    options, _ = parser.parse_known_args()
    return 0 if asyncio.run(measure(options.seconds)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
