"""Killed or frozen at any step: the backup completes by another attempt, and only once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import asyncpg
import pytest

from shared.bus import Bus
from shared.bus.bootstrap import bootstrap
from shared.bus.connection import BusSettings
from shared.bus.jetstream import connect
from shared.messages.facts import BackupAttempted, BackupCompleted, RestoreCompleted
from shared.messages.orders import RunBackup
from tests.integration.executor.world import World, database, engine_of
from tests.support.nats import Nats
from tests.support.points import POINTS
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

BIG = "create table big as select i, repeat(md5(i::text), 10) t from generate_series(1, 12000) i"
AT_ONCE = 6


class Pace(NamedTuple):
    """Seconds after which a silent worker is taken as dead, and its lease as free."""

    silence_s: float
    lease_s: float


QUICK, PRODUCTION = Pace(1.5, 1.0), Pace(30, 10)


class Scene(NamedTuple):
    """Where it happens: one database, copied by many workers."""

    bus: Bus
    nats: Nats
    server: Postgres
    name: str
    pace: Pace


@pytest.fixture
async def bus(nats: Nats) -> AsyncIterator[Bus]:
    settings = BusSettings(nats_url=nats.url)
    await bootstrap(settings)
    async with connect(settings, source="test", gate=False) as bus:
        yield bus


class Workers:
    """Executor processes of one world."""

    def __init__(self, world: World, scene: Scene) -> None:
        self._environment = world.environment | {
            "NATS_URL": scene.nats.url,
            "SILENCE_S": str(scene.pace.silence_s),
            "RUN_LEASE_S": str(scene.pace.lease_s),
            "PYTHONPATH": str(Path.cwd()),
            "PATH": os.environ["PATH"],
        }
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, point: str = "", mark: Path | None = None) -> asyncio.subprocess.Process:
        fault = {"HOLDFAST_FAULTS": "1", "KILL_POINT": point, "KILL_POINT_MARK": str(mark)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.executor.worker",
            env=self._environment | (fault if point else {}),
        )
        self.processes.append(process)
        return process

    @asynccontextmanager
    async def until_the_end(self) -> AsyncIterator[Workers]:
        try:
            yield self
        finally:
            for process in self.processes:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


async def restored_equal(world: World, server: Postgres, backup: BackupCompleted) -> bool:
    """Whether the backup restores into the content that was hashed when it was taken."""
    target = f"restored_{uuid4().hex[:8]}"
    order = await world.restore_order(engine_of(server), target, backup)
    await world.bus.append(order)
    ended = await world.ending(order)
    admin = await asyncpg.connect(server.dsn())
    await admin.execute(f"drop database if exists {target} with (force)")
    await admin.close()
    return isinstance(ended, RestoreCompleted) and ended.tables == backup.archive.tables


async def killed_at(point: str, scene: Scene, world: World) -> str:
    """Kill the worker at one point and start another; what came of the backup, in words."""
    mark = world.folder / "mark"
    order: RunBackup = world.backup_order(engine_of(scene.server), scene.name)
    async with Workers(world, scene).until_the_end() as workers:
        victim = await workers.start(point, mark)
        await world.bus.append(order)
        status = await asyncio.wait_for(victim.wait(), 60)
        await workers.start()
        ended = await world.ending(order, within=120)
        assert isinstance(ended, BackupCompleted), ended
        await asyncio.sleep(scene.pace.silence_s * 1.2)  # a redelivery may come still
        equal = await restored_equal(world, scene.server, ended)
    facts = await world.facts(order)
    attempts = [one.attempt for one in facts if isinstance(one, BackupAttempted)]
    completed = [one for one in facts if isinstance(one, BackupCompleted)]
    if not mark.exists() or status != -signal.SIGKILL:
        return "not hit"
    if len(completed) != 1 or attempts != list(range(1, completed[0].attempt + 1)):
        return f"attempts {attempts}, {len(completed)} times completed"
    return "completed and equal" if equal and not world.sessions() else "not equal"


async def all_points(scene: Scene, folder: Path) -> dict[str, str]:
    """Each point in a pool of its own, several at once."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(point: str) -> str:
        async with slots:
            return await killed_at(point, scene, World(scene.bus, folder / point, pool=point))

    found = await asyncio.gather(*map(one, POINTS))
    return dict(zip(POINTS, found, strict=True))


@pytest.fixture
async def scene(bus: Bus, nats: Nats, customer: Postgres) -> AsyncIterator[Scene]:
    async with database(customer, BIG) as name:
        yield Scene(bus, nats, customer, name, QUICK)


@pytest.mark.timeout(600)  # thirty-four processes begin; a busy machine takes its time
async def test_a_worker_killed_at_any_point_costs_an_attempt_and_nothing_else(
    scene: Scene, tmp_path: Path
) -> None:
    found = await all_points(scene, tmp_path)

    assert found == dict.fromkeys(POINTS, "completed and equal")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("round_number", range(20))
async def test_with_production_timings_too(scene: Scene, tmp_path: Path, round_number: int) -> None:
    found = await all_points(scene._replace(pace=PRODUCTION), tmp_path)

    assert found == dict.fromkeys(POINTS, "completed and equal")


@pytest.mark.parametrize("point", ["mid-data", "manifest-written", "before-ending-said"])
async def test_a_frozen_worker_that_wakes_after_another_one_changes_nothing(
    scene: Scene, tmp_path: Path, point: str
) -> None:
    world = World(scene.bus, tmp_path / "world")
    mark = tmp_path / "mark"
    order = world.backup_order(engine_of(scene.server), scene.name)
    async with Workers(world, scene).until_the_end() as workers:
        frozen = await workers.start(f"stop:{point}", mark)
        await world.bus.append(order)
        await eventually(mark.exists, within=30)
        await workers.start()
        ended = await world.ending(order)
        frozen.send_signal(signal.SIGCONT)
        await asyncio.sleep(3)

        facts = await world.facts(order)
        assert isinstance(ended, BackupCompleted)
        assert await restored_equal(world, scene.server, ended)

    assert [type(one) for one in facts] == [BackupAttempted, BackupAttempted, BackupCompleted]
    assert ended.attempt == 2


@pytest.mark.parametrize("point", ["restore-started", "restored"])
async def test_a_worker_killed_in_a_restore_leaves_one_whole_database(
    scene: Scene, tmp_path: Path, point: str
) -> None:
    world = World(scene.bus, tmp_path / "world")
    target = f"restored_{uuid4().hex[:8]}"
    async with Workers(world, scene).until_the_end() as workers:
        victim = await workers.start(point, tmp_path / "mark")
        backup = await world.backup(engine_of(scene.server), scene.name)
        order = await world.restore_order(engine_of(scene.server), target, backup)
        await world.bus.append(order)
        status = await asyncio.wait_for(victim.wait(), 60)
        await workers.start()
        ended = await world.ending(order)
    admin = await asyncpg.connect(scene.server.dsn())
    found = [row["datname"] for row in await admin.fetch("select datname from pg_database")]
    await admin.execute(f"drop database {target} with (force)")
    await admin.close()

    assert status == -signal.SIGKILL
    assert isinstance(ended, RestoreCompleted), ended
    assert (ended.attempt, ended.tables) == (2, backup.archive.tables)
    assert target in found
    assert not [name for name in found if name.startswith("holdfast-")]
