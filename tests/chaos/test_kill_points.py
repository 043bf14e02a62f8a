"""Killed at any step on a running platform: the run completes later, once, and whole."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.cli.demo.api import CallRefusedError
from services.cli.demo.compare import content_of, differences
from services.launcher.installation import SERVICES
from shared.messages.facts import BackupCompleted
from shared.stores import S3, Local
from tests.chaos import invariants
from tests.chaos.victims import Victim, executor
from tests.support.evidence import ROOT, Evidence
from tests.support.platform import Installed, installed
from tests.support.points import POINTS
from tests.support.s3 import S3Service, make_bucket, moto_s3
from tests.support.waiting import eventually

RESTORE_POINTS = ("restore-started", "restored")
OF_LARGE_ARCHIVES = {"volume-rolled"}
S3_POINTS = ("mid-data", "data-written", "manifest-written")
# Frozen with half an archive written, and with nothing left to do but to say that it is complete.
FREEZES = ("stop:mid-data", "stop:before-ending-said")
FROZEN_S = 60.0
TABLE = "create table big as select i, repeat(md5(i::text), 10) t from generate_series(1, 12000) i"
SETTINGS = {
    "SCHEDULER_POOL_LIMIT": "64",
    "STORAGE_LOOK_EVERY_S": "1",
    "STORAGE_SECOND_LOOK_S": "45",
}


class Scene:
    """A platform without an executor of its own, with a local store and one in S3."""

    def __init__(self, house: Installed, folder: Path, s3: S3Service) -> None:
        self.house, self.folder = house, folder
        self.server = self.local_id = self.s3_id = ""
        self.local: Local
        self.s3: S3 = s3.store()
        self.asked: dict[str, str] = {}
        self.restores: dict[str, str] = {}
        self.victims: list[Victim] = []

    async def register(self) -> None:
        await self.house.load("big", TABLE)
        announcing = executor(self.house, "announcing")
        try:
            self.server = await eventually(self._server, within=60, what="an executor announces")
        finally:
            announcing.stop()
        self.local_id, root = await self.house.local_store("archives")
        self.local = Local(root=str(root))
        fields = {"bucket", "prefix", "endpoint", "access_key_id", "secret_access_key"}
        settings = {name: getattr(self.s3, name) for name in fields}
        self.s3_id = await self.house.store("s3", {"kind": "s3", "allow_http": True, **settings})

    async def _server(self) -> str:
        with suppress(CallRefusedError):
            return await self.house.server(content_check="hashes")
        return ""

    async def strike(self, faults: tuple[str, ...], store: str) -> None:
        """A backup for each fault, and a worker that meets it there; waits until all have."""
        here = self._victims(faults)
        for _ in faults:
            asked = await self.house.request_backup(self.server, "big", store)
            self.asked[asked["id"]] = asked["run_id"]
        await struck(here)

    async def strike_restores(self) -> None:
        """The same for restores, of a backup that had completed when its worker was killed."""
        page = await self.house.api.get("/backups?status=completed")
        here = self._victims(RESTORE_POINTS)
        for number, _ in enumerate(here):
            place = {"server_id": self.server, "endpoint": "main", "name": f"resumed_{number}"}
            body = {"target": place, "reason": "a kill-point"}
            asked = await self.house.api.post(f"/backups/{page['items'][0]['id']}/restore", body)
            self.restores[place["name"]] = asked["run_id"]
        await struck(here)

    def _victims(self, faults: tuple[str, ...]) -> list[Victim]:
        first = len(self.victims)
        here = [
            Victim(self.house, fault, self.folder / f"mark-{first + number}")
            for number, fault in enumerate(faults)
        ]
        self.victims += here
        return here

    async def ended(self) -> list[dict[str, Any]]:
        """Every run, once all have ended."""
        runs = [*self.asked.values(), *self.restores.values()]
        return list(await asyncio.gather(*(self.house.ended(run, within_s=150) for run in runs)))

    async def cleaned(self) -> None:
        """Wait until nothing but completed archives lies in the stores."""
        said = [one.message for one in await self.house.messages()]
        here, there = (invariants.completed_in(said, one) for one in (self.local_id, self.s3_id))

        async def clean() -> bool:
            assert not invariants.leftovers(here, Path(self.local.root))
            assert not await invariants.strangers(there, self.s3)
            return True

        await eventually(clean, within=120, what="garbage is collected")


async def struck(victims: list[Victim]) -> None:
    """Wait until all have reached their points."""

    def all_hit() -> bool:
        missed = [one.fault for one in victims if not one.hit]
        assert not missed, missed
        return True

    await eventually(all_hit, within=120, what="every point is reached")


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    services = [name for name in SERVICES if name != "executor"]
    with moto_s3() as s3:
        await make_bucket(s3)
        async with installed(folder, services=services, settings=SETTINGS) as house:
            found = Scene(house, folder, s3)
            try:
                await found.register()
                yield found
            finally:
                for victim in found.victims:
                    victim.child.kill()


async def all_points(scene: Scene, random: Random) -> list[str]:
    """Kill at each point, freeze at two; the faults found afterwards, in words."""
    local = [*POINTS]
    random.shuffle(local)
    await scene.strike(S3_POINTS, scene.s3_id)
    await scene.strike(FREEZES, scene.local_id)
    frozen, frozen_at = scene.victims[-len(FREEZES) :], time.monotonic()
    await scene.strike(tuple(local), scene.local_id)
    await scene.strike_restores()
    parallel = {"PARALLEL_BACKUPS": "4", "PARALLEL_RESTORES": "4"}
    survivors = [executor(scene.house, f"survivor-{n}", parallel) for n in range(2)]
    try:
        runs = await scene.ended()
        await asyncio.sleep(max(0.0, frozen_at + FROZEN_S - time.monotonic()))
        for victim in frozen:
            victim.child.send(signal.SIGCONT)
        differing = await restored(scene)
        await scene.cleaned()
        return [*(await judged(scene, runs)), *differing]
    finally:
        for child in survivors:
            child.kill()


async def restored(scene: Scene) -> list[str]:
    """Restore every backup; what differs from the source, there and in killed restores."""
    house = scene.house
    source = await content_of(house.customer.database("big"))

    async def one(backup_id: str) -> list[str]:
        found = await house.restored_differences(backup_id, scene.server, source)
        return [f"{backup_id} restores with other {what}" for what in found]

    async def killed(name: str) -> list[str]:
        found = differences(source, await content_of(house.customer.database(name)))
        return [f"the killed restore {name} has other {what}" for what in found]

    found = await asyncio.gather(*map(one, scene.asked), *map(killed, scene.restores))
    return [
        *(words for one_found in found for words in one_found),
        *(f"a restore left {name}" for name in await half_made(house)),
    ]


async def half_made(house: Installed) -> list[str]:
    """Databases on the customer's server that nobody asked for."""
    names = await asyncio.to_thread(
        house.customer.server.execute, "select datname from pg_database where not datistemplate"
    )
    known = ("postgres", "big", "resumed_", "again_")
    return [name for name in names.splitlines() if not name.startswith(known)]


async def judged(scene: Scene, runs: list[dict[str, Any]]) -> list[str]:
    """Every fault that the log, the stores and the processes show."""
    house = scene.house
    said = [one.message for one in await house.messages()]
    completed = Counter(one.backup_id for one in said if isinstance(one, BackupCompleted))
    killed = [one for one in scene.victims if not one.fault.startswith("stop:")]
    return [
        *(f"{one.fault} was not hit" for one in killed if not one.killed),
        *(f"{run['object_id']}: {run['status']}" for run in runs if run["status"] != "completed"),
        *(f"{one} completed {count} times" for one, count in completed.items() if count != 1),
        *([] if {str(one) for one in completed} == set(scene.asked) else ["not all completed"]),
        *invariants.ended_once(said),
        *invariants.attempts_in_order(said),
        *await invariants.archives_whole(
            invariants.completed_in(said, scene.local_id), scene.local
        ),
        *await invariants.archives_whole(invariants.completed_in(said, scene.s3_id), scene.s3),
        *await invariants.unfinished(scene.s3),
        *await invariants.nothing_runs(house),
        *await invariants.kept_once(
            house, [f"evt.backup.requested.core.{one}" for one in scene.asked]
        ),
        *await left_behind(scene.folder / "work"),
    ]


async def left_behind(work: Path) -> list[str]:
    """Private folders of runs that stay; a survivor's probe has one for a moment."""
    found = {one.name for one in work.glob("session-*")}
    for _ in range(100):
        found &= {one.name for one in work.glob("session-*")}
        if not found:
            return []
        await asyncio.sleep(0.2)
    return [f"the folder {name} of a run is left" for name in sorted(found)]


def test_every_point_that_the_executor_names_is_tried() -> None:
    lines = [
        line
        for path in (ROOT / "services" / "executor").rglob("*.py")
        for line in path.read_text().splitlines()
        if "point(" in line
    ]
    named = set(re.findall(r'"([a-z][a-z-]+)"', "\n".join(lines)))

    assert named | {"completed-appended"} == {*POINTS, *RESTORE_POINTS, *OF_LARGE_ARCHIVES}
    assert len(POINTS) >= 15


@pytest.mark.timeout(400)
async def test_a_run_killed_at_any_point_completes_by_a_later_attempt_and_is_equal(
    tmp_path: Path, seed: int
) -> None:
    async with scene(tmp_path) as where:
        assert await all_points(where, Random(seed)) == []


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_each_point_many_times(
    tmp_path: Path, seed: int, rounds: int, request: pytest.FixtureRequest
) -> None:
    record = Evidence("kill-points", seed, rounds, request.node.nodeid)
    try:
        for number in range(rounds):
            folder = tmp_path / str(number)
            folder.mkdir()
            async with scene(folder) as where:
                record.failures += await all_points(where, Random(seed + number))
                for victim in where.victims:
                    record.count(victim.fault, int(victim.hit))
                record.count("backups completed and restored equal", len(where.asked))
            record.count("rounds")
    finally:
        record.write()

    assert record.failures == []
