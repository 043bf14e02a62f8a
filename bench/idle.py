"""What a platform costs on which nothing happens.

    python -m bench.idle [--seconds 300] [--schedules 100]

The platform as `holdfast up` runs it, with an administrator, nobody signed in, a server that is
probed, two stores, a backup, and schedules of which none is due. Counted are the processor time of
all eight services together, and the events that the log has more at the end.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable

import psutil

from bench.backups import bench, fill
from bench.figures import report
from services.launcher.up import Platform
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


async def measure(seconds: float, schedules: int) -> bool:
    """Both figures; whether each reaches its bar."""
    async with bench() as ready:
        await fill(ready.source, "idle", 1)
        _, backup = await ready.back_up("idle", "local")
        # Else the scheduler has it read within five minutes: that is work, and not idle.
        reading = await ready.api.post(f"/backups/{backup['id']}/deep-verify", {})
        await ready.api.ended(reading["run_id"])
        found = await ready.api.get("/databases?limit=1")
        for number in range(schedules):
            body = {
                "name": f"yearly {number}",
                "cron": "30 2 1 1 *",
                "database_ids": [found["items"][0]["id"]],
                "targets": [{"store_id": ready.stores["local"]}],
            }
            await ready.api.post("/schedules", body)
        await asyncio.sleep(SETTLE_S)
        return await _idle(ready.platform, seconds)


async def _idle(platform: Platform, seconds: float) -> bool:
    services = [child.pid for child in platform.children.values()]
    async with connect(platform.installation.bus_settings("gateway"), source="bench") as bus:
        before = (await bus.state(EVENTS)).last_seq
        share = await share_of_a_core(services, seconds)
        appended = (await bus.state(EVENTS)).last_seq - before
    good = report("idle_services", share, "%", at_most=10)
    return good & report("idle_events_per_hour", appended * 3600 / seconds, "", at_most=0)


def main() -> int:
    """Measure and report; 1 when a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--schedules", type=int, default=100)
    options, _ = parser.parse_known_args()
    return 0 if asyncio.run(measure(options.seconds, options.schedules)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
