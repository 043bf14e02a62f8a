"""Auditors as processes, each under its own user and no other right."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.auditor.writer import connected
from shared.bus import Bus
from shared.bus.gate import Guarded
from shared.bus.lease import LEASE_TTL_S
from shared.errors import PlatformError
from shared.messages.facts import KeyErased
from tests.integration.auditor.damage import blocks, flip
from tests.integration.auditor.house import KEY
from tests.support.bus import PlatformNats, platform_nats
from tests.support.waiting import eventually
from tests.unit.auditor.events import backup_story, server

WITHIN_S = 5.0


class Town:
    """A NATS with all users, a database, and auditors started and killed at will."""

    def __init__(self, nats: PlatformNats, database: str, folder: Path) -> None:
        self.nats, self.database, self.folder = nats, database, folder
        (folder / "audit_key").write_text(KEY.printed())

    def environment(self, user: str) -> dict[str, str]:
        settings = self.nats.settings(user)
        return {
            "PATH": os.environ["PATH"],
            "NATS_URL": settings.nats_url,
            "NATS_USER": settings.nats_user,
            "NATS_PASSWORD": settings.nats_password,
            "DATABASE_URL": self.database,
            "AUDIT_KEY_FILE": str(self.folder / "audit_key"),
        }

    @contextmanager
    def auditor(self) -> Iterator[subprocess.Popen[bytes]]:
        log = (self.folder / "auditor.log").open("ab")
        command = [sys.executable, "-m", "services.auditor"]
        with log, subprocess.Popen(command, env=self.environment("auditor"), stderr=log) as child:
            try:
                yield child
            finally:
                child.kill()

    def run(self, user: str, *arguments: str) -> tuple[int, Any]:
        command = [sys.executable, "-m", "services.auditor", *arguments]
        done = subprocess.run(
            command, env=self.environment(user), capture_output=True, text=True, check=False
        )
        assert done.stdout, done.stderr
        return done.returncode, msgspec.json.decode(done.stdout)

    async def count(self, table: str) -> int:
        async with connected(self.database) as connection:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


@pytest.fixture
async def town(tmp_path: Path, database: str) -> AsyncIterator[Town]:
    with platform_nats(tmp_path / "nats") as nats:
        await nats.bootstrap()
        yield Town(nats, database, tmp_path)


async def vouched(bus: Bus) -> bool:
    try:
        return msgspec.json.decode(await bus.ask("ask.auditor.guard"), type=Guarded).ok
    except PlatformError:
        return False


@asynccontextmanager
async def said(town: Town) -> AsyncIterator[Bus]:
    async with town.nats.bus("bootstrap") as bus:
        yield bus


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
async def test_a_standby_takes_over_within_five_seconds(town: Town, way: signal.Signals) -> None:
    async with said(town) as bus:
        with town.auditor() as active:
            await eventually(lambda: vouched(bus), within=30)
            with town.auditor() as standby:
                for message in [server(), *backup_story()]:
                    await bus.append(message)
                await eventually(lambda: stored(town, 5))
                async with connected(town.database) as connection:
                    epoch = await connection.fetchval(EPOCH)

                active.send_signal(way)
                began = time.monotonic()
                for message in backup_story():
                    await bus.append(message)
                await eventually(lambda: stored(town, 9), within=WITHIN_S + 5)

                assert time.monotonic() - began < WITHIN_S
                async with connected(town.database) as connection:
                    assert await connection.fetchval(EPOCH) == epoch + 1
                if way is signal.SIGSTOP:
                    active.send_signal(signal.SIGCONT)
                    await asyncio.sleep(2 * LEASE_TTL_S)
                    assert active.poll() is None  # fenced: it stands by
                    async with connected(town.database) as connection:
                        assert await connection.fetchval(EPOCH) == epoch + 1
                assert standby.poll() is None
                assert await town.count("audit_logs") == 9


async def stored(town: Town, count: int) -> bool:
    return await town.count("event_log") == count


async def test_an_auditor_has_the_rights_that_it_needs(town: Town) -> None:
    async with said(town) as bus:
        keys = bus.kv("keys")
        await keys.put("secret-a", b"wrapped")
        await keys.put("secret-b", b"wrapped")
        with town.auditor():
            await eventually(lambda: vouched(bus), within=30)
            await bus.append(server())
            await bus.append(KeyErased(key_id="secret-b", reason="asked for"))

            async def erased() -> bool:
                return await keys.get("secret-b") is None and await town.count("sealed_keys") == 1

            await eventually(erased)
            await eventually(lambda: signed(town), within=15)
        assert (await bus.state("AUDIT_CKPT")).messages >= 1
        assert (await keys.get("secret-a")) is not None
        assert town.run("auditor", "guard")[0] == 0


async def signed(town: Town) -> bool:
    return await town.count("audit_checkpoints") > 0


async def test_the_damage_of_a_stopped_platform_is_found_and_repaired(town: Town) -> None:
    async with said(town) as bus:
        with town.auditor():
            await eventually(lambda: vouched(bus), within=30)
            for message in [server(), *backup_story()]:
                await bus.append(message)
            await eventually(lambda: stored(town, 5))
    nats = town.nats.server
    nats.kill9()
    flip(blocks(nats)[0], at=0.3)
    nats.start()

    code, found = town.run("auditor", "guard")
    assert (code, found["ok"], found["code"]) == (3, False, "log.damaged")
    code, done = town.run("bootstrap", "repair", "--folder", str(town.folder))
    assert (code, done["last_seq"]) == (0, 5)
    assert done["restored"] > 0
    assert town.run("auditor", "guard", "--all")[0] == 0


EPOCH = "SELECT seq FROM checkpoints WHERE name = 'leader'"
