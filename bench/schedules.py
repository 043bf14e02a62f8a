"""Many schedules, many due within a minute, three schedulers of which the leader is killed.

    python -m bench.schedules [--schedules 10000] [--due 1000] [--jitter 50] [--idle 30]

Against the platform as `holdfast up` runs it, but with three schedulers and without an executor:
nobody takes the orders, so limits are high enough to hold none back. Timed is from the start that
each backup's jitter gives it (with `--jitter 0`: from the slot, all at once) until its order stands
in the log. The leader is killed in the middle of it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import tempfile
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from uuid_utils.compat import uuid7

from bench.figures import percentile, report
from bench.idle import share_of_a_core
from services.launcher.directory import DataDirectory
from services.launcher.installation import SERVICES, Installation
from services.launcher.up import Platform, running
from shared.bus import Bus
from shared.bus.base import COMMANDS, EVENTS
from shared.bus.jetstream import connect
from shared.keys.worker import public_half
from shared.messages.base import Message
from shared.messages.facts import BackupRequested, ServerDiscovered
from shared.messages.orders import RunBackup
from shared.messages.settings import ScheduleSetting, ServerSetting, StoreSetting
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import DatabaseRef, Endpoint, FoundDatabase
from shared.readmodel.reader import read_model
from shared.timetable.slots import backup_id, starts_at

SERVERS, SCHEDULERS, AT_ONCE = 20, 3, 128
BAR_S = 5.0
UNLIMITED = 1_000_000
STORE = "bench"


class Bench:
    """What is to be scheduled: `due` databases, and more schedules than those that are due."""

    def __init__(self, options: argparse.Namespace, slot: datetime) -> None:
        self.slot, self.jitter_s = slot, options.jitter
        servers = [uuid4() for _ in range(SERVERS)]
        self.databases = [
            DatabaseRef(server_id=servers[at % SERVERS], endpoint="main", name=f"db{at}")
            for at in range(options.due)
        ]
        self.due = [self._schedule(at, f"{slot:%M %H %d %m} *") for at in range(options.due)]
        others = range(options.due, options.schedules)
        self.others = [self._schedule(at, f"{at % 60} {at % 24} 1 1 *") for at in others]
        self.servers = servers

    def _schedule(self, at: int, cron: str) -> ScheduleSetting:
        return ScheduleSetting(
            key=str(uuid7()),
            name=f"schedule {at}",
            cron=cron,
            database_ids=[str(self.databases[at % len(self.databases)].id)],
            targets=[ScheduleTarget(store_id=STORE)],
            jitter_s=self.jitter_s,
        )

    def starts(self) -> dict[UUID, datetime]:
        """When each backup is to start, by its id."""
        pairs = zip(self.due, self.databases, strict=True)
        return {
            backup_id(one.key, self.slot, database.id): starts_at(
                self.slot, self.jitter_s, one.key, database.id
            )
            for one, database in pairs
        }

    def settings(self) -> list[Message]:
        engine = {"kind": "postgresql", "host": "127.0.0.1", "port": 1, "user": "bench"}
        points = [Endpoint(name="main", engine=engine)]
        hosts = [
            ServerSetting(
                key=str(key),
                name=str(key),
                runner={"kind": "local"},
                endpoints=points,
                run_limit=UNLIMITED,
            )
            for key in self.servers
        ]
        store = StoreSetting(key=STORE, name=STORE, store={"kind": "local", "root": "/nowhere"})
        return [store, *hosts, *self.due, *self.others]

    def discovered(self) -> list[Message]:
        return [
            ServerDiscovered(
                server_id=key,
                run_id=uuid4(),
                databases=[
                    FoundDatabase(endpoint=one.endpoint, name=one.name)
                    for one in self.databases
                    if one.server_id == key
                ],
            )
            for key in self.servers
        ]


async def append_all(bus: Bus, messages: Iterable[Message]) -> None:
    """Many at once: the log syncs each one."""
    waiting = iter(messages)

    async def some() -> None:
        for message in waiting:
            await bus.append(message)  # type: ignore[arg-type]

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


@asynccontextmanager
async def bus_of(installation: Installation, user: str) -> AsyncIterator[Bus]:
    """A bus as one service has it."""
    async with connect(installation.bus_settings(user), source="bench") as bus:
        yield bus


@asynccontextmanager
async def schedulers(installation: Installation) -> AsyncIterator[dict[int, Process]]:
    """Three of them, by process id."""
    command = installation.command("scheduler")
    environment = command.environment | {"POOL_LIMIT": str(UNLIMITED)}
    started: dict[int, Process] = {}
    with command.log.open("ab") as log:
        for _ in range(SCHEDULERS):
            process = await asyncio.create_subprocess_exec(
                *command.argv, env=environment, cwd=command.directory, stdout=log, stderr=log
            )
            started[process.pid] = process
    try:
        yield started
    finally:
        for process in started.values():
            if process.returncode is None:
                process.kill()
            await process.wait()


async def leader(bus: Bus) -> int:
    """The process id of the scheduler that leads."""
    while (entry := await bus.kv("leases").get("scheduler")) is None or not entry.value:
        await asyncio.sleep(0.2)
    return int(entry.value.decode().rpartition("-")[2])


async def ordered(bus: Bus, count: int, within_s: float) -> list[tuple[UUID, datetime]]:
    """Each order as it came into the log, until there are so many or time is over."""
    found: list[tuple[UUID, datetime]] = []

    async def follow() -> None:
        async for delivery in bus.follow(COMMANDS, after_seq=0):
            if isinstance(message := delivery.message, RunBackup):
                found.append((message.backup_id, delivery.at))
                if len({one for one, _ in found}) == count:
                    return

    following = asyncio.create_task(follow())
    await asyncio.wait({following}, timeout=within_s)
    following.cancel()
    return found


async def requested(bus: Bus) -> list[tuple[UUID, datetime]]:
    """Each request of a backup as it came into the log."""
    last, found = (await bus.state(EVENTS)).last_seq, []
    async for delivery in bus.follow(EVENTS, after_seq=0):
        if isinstance(message := delivery.message, BackupRequested):
            found.append((message.backup_id, delivery.at))
        if delivery.seq >= last:
            break
    return found


def lateness(found: list[tuple[UUID, datetime]], starts: dict[UUID, datetime]) -> list[float]:
    """Seconds by which each came after its start."""
    return [(at - starts[one]).total_seconds() for one, at in found if one in starts]


async def sleep_until(at: datetime) -> None:
    await asyncio.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))


async def measure(options: argparse.Namespace) -> bool:
    """Every figure; whether each reaches its bar."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        beside = [one for one in SERVICES if one not in {"scheduler", "executor"}]
        async with (
            running(DataDirectory(Path(name) / "home"), services=beside) as platform,
            bus_of(platform.installation, "bootstrap") as bus,
        ):
            lead_s = 60 + options.schedules / 100 + options.idle
            slot = datetime.now(UTC) + timedelta(seconds=lead_s)
            bench = Bench(options, slot.replace(second=0, microsecond=0) + timedelta(minutes=1))
            await _furnish(platform, bus, bench)
            async with schedulers(platform.installation) as processes:
                await leader(bus)
                await asyncio.sleep(15)  # the timetable is open
                share = await share_of_a_core(processes, options.idle)
                good = report(f"idle_schedulers_with_{options.schedules}", share, "%")
                return good & await _one_minute(bus, bench, processes)


async def _furnish(platform: Platform, bus: Bus, bench: Bench) -> None:
    await append_all(bus, bench.settings())
    private = X25519PrivateKey.generate().private_bytes_raw()
    async with bus_of(platform.installation, "executor") as executor:
        await append_all(executor, bench.discovered())
        await executor.kv("keys").put("worker.core", public_half(private).encode())
    async with read_model(platform.installation.database_url("reader").read_text()) as model:
        await model.at_least((await bus.state(EVENTS)).last_seq, within_s=120)


async def _one_minute(bus: Bus, bench: Bench, processes: dict[int, Process]) -> bool:
    assert datetime.now(UTC) < bench.slot, "preparing took longer than thought"
    starts = bench.starts()
    left_s = (bench.slot - datetime.now(UTC)).total_seconds()
    orders = asyncio.create_task(ordered(bus, len(starts), left_s + 180))
    await sleep_until(bench.slot + timedelta(seconds=bench.jitter_s / 2 or 0.5))
    killed = await leader(bus)
    os.kill(killed, signal.SIGKILL)
    assert killed in processes
    found, asked_for = await orders, await requested(bus)
    times, asked = Counter(one for one, _ in found), Counter(one for one, _ in asked_for)
    late = lateness(found, starts)
    good = report("starts_missed", len(starts.keys() - times.keys()), "", at_most=0)
    doubled = sum(count - 1 for count in [*times.values(), *asked.values()])
    good &= report("starts_doubled", doubled, "", at_most=0)
    good &= report("starts_not_asked_for", len(asked.keys() - starts.keys()), "", at_most=0)
    report("start_to_request_p99", percentile(lateness(asked_for, starts), 0.99), "s")
    report("start_to_order_median", percentile(late, 0.5), "s")
    return good & report("start_to_order_p99", percentile(late, 0.99), "s", at_most=BAR_S)


def main() -> int:
    """Measure and report; 1 when a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--due", type=int, default=1_000)
    parser.add_argument("--jitter", type=int, default=50)
    parser.add_argument("--idle", type=float, default=30.0)
    options, _ = parser.parse_known_args()
    return 0 if asyncio.run(measure(options)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
