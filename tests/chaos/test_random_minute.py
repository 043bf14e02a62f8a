"""A minute of random kills and pauses of everything, while backups and restores go on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random

import aiohttp
import pytest

from services.cli.demo.api import CallRefusedError
from services.cli.demo.compare import Content, content_of
from shared.messages.facts import BackupCompleted
from shared.stores import Local
from tests.chaos import invariants
from tests.chaos.load import Load
from tests.support.platform import Installed, installed
from tests.support.waiting import eventually

MINUTE_S = 60.0
SERVICES = ("executor", "storage", "scheduler", "gateway", "auditor")
SERVERS = ("nats-server", "postgres")
PAUSED_S = (1.0, 8.0)
BETWEEN_S = (0.5, 3.0)
TABLE = "create table big as select i, repeat(md5(i::text), 10) t from generate_series(1, 20000) i"
SETTINGS = {"STORAGE_LOOK_EVERY_S": "2", "STORAGE_SECOND_LOOK_S": "20"}


class Minute:
    """What goes on, and what was done to it."""

    def __init__(self, house: Installed, random: Random) -> None:
        self.house, self._random = house, random
        self.server = self.store = ""
        self.backups: list[str] = []
        self.restores: list[str] = []
        self.struck: Counter[str] = Counter()

    async def strikes(self) -> None:
        """Kill or pause one part after another, for a minute."""
        until = time.monotonic() + MINUTE_S
        while time.monotonic() < until:
            name = self._random.choice(SERVICES + SERVERS)
            pid = self._pid(name)
            if pid is not None and self._random.random() < 0.75:
                self.struck[f"{name} killed"] += 1
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            elif pid is not None:
                self.struck[f"{name} paused"] += 1
                await self._pause(pid)
            await asyncio.sleep(self._random.uniform(*BETWEEN_S))

    def _pid(self, name: str) -> int | None:
        if name in SERVERS:
            return self.house.pid(name)
        child = self.house.platform.children[name]
        return child.pid if child.exit_status is None else None

    async def _pause(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(self._random.uniform(*PAUSED_S))
            os.kill(pid, signal.SIGCONT)

    async def work(self) -> None:
        """Backups one after another, some restored; what is refused or lost is asked for anew."""
        while True:
            with suppress(CallRefusedError, aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(20):
                    await self._step()
            await asyncio.sleep(0.5)

    async def _step(self) -> None:
        asked = await self.house.request_backup(self.server, "big", self.store)
        self.backups.append(asked["id"])
        page = await self.house.api.get("/backups?status=completed")
        if page["items"] and self._random.random() < 0.5:
            backup = self._random.choice(page["items"])["id"]
            target = {
                "server_id": self.server,
                "endpoint": "main",
                "name": f"restored_{len(self.restores)}_{self._random.getrandbits(32):x}",
            }
            body = {"target": target, "reason": "a minute of chaos"}
            restore = await self.house.api.post(f"/backups/{backup}/restore", body)
            self.restores.append(restore["id"])

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        working = asyncio.create_task(self.work())
        try:
            yield
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def at_rest(self) -> None:
        """Wait until every run has ended. I3: a lost one begins again within 60 s of its lease."""

        async def quiet() -> bool:
            with suppress(OSError):
                assert not await invariants.nothing_runs(self.house)
                return True
            return False

        await eventually(quiet, within=400, what="every run ends")


def clean(kept: list[BackupCompleted], root: Path) -> bool:
    """Raises AssertionError with what lies in the store and belongs to nothing."""
    assert invariants.leftovers(kept, root) == []
    return True


async def judged(minute: Minute, load: Load, root: Path, source: Content) -> list[str]:
    """Every invariant, at the end."""
    house = minute.house
    said = [one.message for one in await house.messages()]
    kept = invariants.completed_in(said, minute.store)
    asked = [f"evt.backup.requested.core.{one}" for one in minute.backups]
    asked += [f"evt.restore.requested.core.{one}" for one in minute.restores]
    newest = str(kept[-1].backup_id)
    return [
        *await invariants.kept_once(house, [*load.acknowledged, *asked]),
        *invariants.ended_once(said),
        *invariants.attempts_in_order(said),
        *await invariants.archives_whole(kept, Local(root=str(root))),
        *await house.restored_differences(newest, minute.server, source),
    ]


@pytest.mark.chaos
@pytest.mark.timeout(0)
async def test_after_a_minute_of_chaos_every_invariant_holds(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    async with installed(tmp_path, settings=SETTINGS) as house:
        minute, load = Minute(house, random), Load(house, random)
        await house.load("big", TABLE)
        minute.server = await house.server(content_check="hashes")
        minute.store, root = await house.local_store("archives")
        source = await content_of(house.customer.database("big"))
        async with load.going(), minute.working():
            await minute.strikes()
        print(f"struck: {dict(minute.struck)}")
        await minute.at_rest()
        said = [one.message for one in await house.messages()]
        kept = invariants.completed_in(said, minute.store)
        print(
            f"{len(load.acknowledged)} settings acknowledged, {len(minute.backups)} backups and"
            f" {len(minute.restores)} restores; ended: {dict(invariants.endings(said))}"
        )
        await eventually(partial(clean, kept, root), within=120)

        assert await judged(minute, load, root, source) == []
        assert kept
