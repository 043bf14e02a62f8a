"""No secret stands where anybody else could read it, while a backup and a restore run or after."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from shared.bus.base import EVENTS, LOGS
from shared.bus.memory import MemoryBus
from shared.messages.facts import BackupCompleted, RestoreCompleted
from tests.integration.executor.shop import SHOP
from tests.integration.executor.world import World, database, engine_of
from tests.support.postgres import Postgres

CANARY = "canary-Pa55:\\w'ord"


async def watch(found: set[str], forbidden: list[bytes], tools: set[str]) -> None:
    """Look through the arguments and environments of every process, all the time."""
    while True:
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                arguments = (place / "cmdline").read_bytes()
                seen = arguments + (place / "environ").read_bytes()
                if any(one in seen for one in forbidden):
                    found.add(arguments[:200].decode(errors="replace"))
                tools.add(Path(arguments.split(b"\0")[0].decode(errors="replace")).name)
        await asyncio.sleep(0.002)


async def test_no_canary_in_processes_events_output_or_logs(
    customer: Postgres, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Abuse cases 2 and 3: every process is looked at during the runs, every sink afterwards."""
    bus = MemoryBus()
    world = World(bus, tmp_path)
    admin = await asyncpg.connect(customer.dsn())
    user, target = f"user_{uuid4().hex[:8]}", f"target_{uuid4().hex[:8]}"
    escaped = CANARY.replace("'", "''")
    await admin.execute(f"create role {user} superuser login password '{escaped}'")
    engine = engine_of(customer, user=user, password=CANARY)
    found: set[str] = set()
    tools: set[str] = set()
    forbidden = [CANARY.encode()]
    watching = asyncio.create_task(watch(found, forbidden, tools))
    async with database(customer, SHOP) as name, world.executor():
        order = world.backup_order(engine, name)
        await bus.append(order)
        backup = await world.ending(order)
        assert isinstance(backup, BackupCompleted), backup
        forbidden.append((await world.archive_key(backup)).hex().encode())
        restore = await world.restore_order(engine, target, backup)
        await bus.append(restore)
        restored = await world.ending(restore)
        refused = world.backup_order(engine | {"password": CANARY + "x"}, name)
        await bus.append(refused)
        await world.ending(refused)
    watching.cancel()
    await admin.execute(f"drop database {target} with (force)")
    await admin.execute(f"drop role {user}")
    await admin.close()

    said = b"".join(
        one.data for stream in (EVENTS, LOGS) for one in bus.server.stream(stream).after(0)
    )
    printed = "".join(capfd.readouterr())
    kept = [path.read_bytes() for path in world.work_folder.rglob("*") if path.is_file()]
    assert isinstance(restored, RestoreCompleted), restored
    assert {"pg_dump", "pg_restore"} <= tools
    assert found == set()
    assert b"canary" not in said
    assert "canary" not in printed
    assert kept == []
