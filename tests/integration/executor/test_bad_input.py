"""What goes wrong outside ends the run as failed, by name, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from services.launcher.ports import free_port
from services.launcher.postgres import StopMode
from shared.bus import Expect, WrongSequenceError
from shared.bus.memory import MemoryBus
from shared.messages.base import now
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupCompleted,
    BackupFailed,
    RestoreAttempted,
    RestoreCompleted,
    RestoreFailed,
    RunCancelRequested,
)
from shared.messages.orders import RunBackup, RunRestore
from tests.integration.executor.shop import SHOP
from tests.integration.executor.world import World, database, engine_of
from tests.support.postgres import Postgres, postgres_server
from tests.support.s3 import rclone_s3
from tests.support.waiting import eventually

BIG = "create table big as select i, repeat(md5(i::text), 10) t from generate_series(1, 200000) i"
TOOL = """#!/bin/sh
if [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) 16.14"; exit; fi
{script}
"""


def whole(world: World, order: RunBackup) -> bool:
    """Whether there is a manifest; other objects are the storage service's to delete."""
    return any(name.endswith("/manifest") for name in world.objects(order.backup_id))


async def failed(world: World, order: RunBackup) -> BackupFailed:
    """The failure of an order, with the check that nothing is left that looks like a backup."""
    await world.bus.append(order)
    ended = await world.ending(order)
    assert isinstance(ended, BackupFailed), ended
    assert not whole(world, order)
    assert world.sessions() == []
    assert ended.problem.cause
    assert ended.problem.fix
    assert "canary" not in msgspec.json.encode(ended.problem).decode()
    return ended


def fake_pg_dump(folder: Path, script: str) -> Path:
    """A folder with a pg_dump that says the right version and then does something else."""
    folder.mkdir()
    tool = folder / "pg_dump"
    tool.write_text(TOOL.format(script=script))
    tool.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("fields", "name", "code"),
    [
        ({"password": "canary-wrong"}, "postgres", "engine.access_denied"),
        ({}, "no such; database", "engine.database_missing"),
        ({}, "two\nlines", "engine.database_missing"),
        ({}, "-d postgres", "engine.database_missing"),
        ({}, "dbname=postgres", "engine.database_missing"),
        ({"port": free_port()}, "postgres", "engine.unreachable"),
        ({"tls": "verify-full"}, "postgres", "engine.tls"),
        ({"host": "-h", "password": "canary"}, "postgres", "order.settings"),
        ({"password": 5}, "postgres", "order.settings"),
        ({"kind": "oracle"}, "postgres", "order.settings"),
    ],
)
async def test_a_wrong_setting_fails_the_run(
    world: World, customer: Postgres, fields: dict[str, Any], name: str, code: str
) -> None:
    async with world.executor():
        ended = await failed(world, world.backup_order(engine_of(customer) | fields, name))

    assert (ended.problem.code, ended.attempt) == (code, 1)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("head -c 3000000 /dev/zero; exit 1", "engine.tool_failed"),
        ("head -c 3000000 /dev/zero; kill -9 $$", "engine.tool_killed"),
        ("echo 'permission denied for table x' >&2; exit 1", "engine.permission_denied"),
    ],
)
async def test_a_dump_tool_that_fails_or_is_killed_makes_no_backup(
    world: World, customer: Postgres, tmp_path: Path, script: str, code: str
) -> None:
    tools = fake_pg_dump(tmp_path / "tools", script)
    async with world.executor(tools=tools):
        ended = await failed(world, world.backup_order(engine_of(customer), "postgres"))

    assert ended.problem.code == code


async def test_a_server_that_restarts_during_the_dump_fails_the_run_and_the_next_one_is_well(
    world: World, tmp_path: Path
) -> None:
    restarts: list[asyncio.Task[None]] = []

    async def point(name: str) -> None:
        if name == "first-frame" and not restarts:
            restarts.append(asyncio.create_task(asyncio.to_thread(restart)))
            await asyncio.shield(restarts[0])  # the run may end, and this with it, before it is up

    def restart() -> None:
        server.stop(StopMode.IMMEDIATE)
        server.start()

    with postgres_server(tmp_path / "server", major=16) as server:
        connection = await asyncpg.connect(server.dsn())
        await connection.execute(BIG)
        await connection.close()
        async with world.executor(point=point):
            ended = await failed(world, world.backup_order(engine_of(server), "postgres"))
            await restarts[0]
            again = await world.backup(engine_of(server), "postgres")

    assert ended.problem.code == "engine.connection_lost"
    assert again.attempt == 1


async def test_a_store_that_is_not_there_fails_the_run(world: World, customer: Postgres) -> None:
    store = {"kind": "local", "root": str(world.folder / "not there")}
    async with world.executor():
        order = world.backup_order(engine_of(customer), "postgres", store=store)
        ended = await failed(world, order)

    assert ended.problem.code.startswith("store.")


async def test_an_s3_service_that_refuses_or_does_not_answer_fails_the_run(
    world: World, customer: Postgres
) -> None:
    store = {
        "kind": "s3",
        "bucket": "backups",
        "endpoint": f"http://127.0.0.1:{free_port()}",
        "access_key_id": "key",
        "secret_access_key": "canary-s3",
        "region": "us-east-1",
        "allow_http": True,
    }
    async with world.executor():
        order = world.backup_order(engine_of(customer), "postgres", store=store)
        await world.bus.append(order)
        ended = await world.ending(order, within=120)

    assert isinstance(ended, BackupFailed)
    assert ended.problem.code.startswith("store."), ended.problem
    assert "canary" not in msgspec.json.encode(ended).decode()


async def test_s3_credentials_lost_in_the_middle_fail_the_run_and_leave_no_backup(
    world: World, customer: Postgres, tmp_path: Path
) -> None:
    async def point(name: str) -> None:
        if name == "mid-data" and not changed:
            changed.append(name)
            await asyncio.to_thread(service.kill)
            await asyncio.to_thread(service.serve, folder, secret="another")

    changed: list[str] = []
    folder = tmp_path / "s3"
    with rclone_s3(folder) as service:
        store = msgspec.to_builtins(service.store())
        async with database(customer, BIG) as name, world.executor(point=point):
            order = world.backup_order(engine_of(customer), name, store=store)
            await world.bus.append(order)
            ended = await world.ending(order, within=120)

    assert changed
    assert isinstance(ended, BackupFailed), ended
    assert ended.problem.code == "store.access_denied"
    assert service.secret_access_key not in msgspec.json.encode(ended).decode()
    assert [path.name for path in folder.rglob("manifest")] == []


async def test_no_space_in_the_store_fails_the_run(world: World, customer: Postgres) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with database(customer, BIG) as name, world.executor():
        order = world.backup_order(engine_of(customer), name)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, hard))
        try:
            ended = await failed(world, order)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert ended.problem.code == "store.no_space"


async def test_a_running_backup_is_cancelled_and_leaves_nothing(
    world: World, customer: Postgres, tmp_path: Path
) -> None:
    tools = fake_pg_dump(tmp_path / "tools", "head -c 3000000 /dev/zero; sleep 60")
    order = world.backup_order(engine_of(customer), "postgres")
    async with world.executor(tools=tools):
        await world.bus.append(order)
        subject = f"evt.backup.attempted.core.{order.backup_id}"
        await eventually(lambda: world.bus.last_of(subject))
        await asyncio.sleep(0.3)
        await world.bus.append(RunCancelRequested(run_id=order.run_id))
        ended = await world.ending(order, within=10)
        await eventually(lambda: not world.sessions())

    assert isinstance(ended, BackupCancelled)
    assert not whole(world, order)


async def test_a_cancel_that_came_before_the_order_wins(world: World, customer: Postgres) -> None:
    order = world.backup_order(engine_of(customer), "postgres")
    await world.bus.append(RunCancelRequested(run_id=order.run_id))
    await world.bus.append(order)
    async with world.executor():
        ended = await world.ending(order)

    assert isinstance(ended, BackupCancelled)
    assert ended.attempt == 0


async def test_an_order_that_is_too_old_or_was_tried_too_often_fails_without_an_attempt(
    world: World, customer: Postgres
) -> None:
    order = world.backup_order(engine_of(customer), "postgres")
    late = msgspec.structs.replace(order, not_after=now(), id=uuid4())
    tried = world.backup_order(engine_of(customer), "postgres")
    await world.bus.append(
        BackupAttempted(
            backup_id=tried.backup_id,
            run_id=tried.run_id,
            attempt=5,
            worker="w",
            store_id="s",
            prefix="p",
        )
    )
    await world.bus.append(late)
    await world.bus.append(tried)
    async with world.executor():
        first, second = await world.ending(late), await world.ending(tried)

    assert isinstance(first, BackupFailed)
    assert isinstance(second, BackupFailed)
    assert first.problem.code == "run.expired"
    assert (second.problem.code, second.attempt) == ("run.attempts_exhausted", 6)


@pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "expired"])
async def test_a_run_ended_by_another_worker_is_not_ended_by_its_first_one_too(
    world: World, cancelled: bool
) -> None:
    order = world.backup_order({"kind": "postgresql"}, "postgres")
    begun = BackupAttempted(
        backup_id=order.backup_id,
        run_id=order.run_id,
        attempt=1,
        worker="paused",
        store_id="s",
        prefix="p",
    )
    seq = (await world.bus.append(begun)).seq
    if cancelled:
        await world.bus.append(RunCancelRequested(run_id=order.run_id))
        await world.bus.append(order)
    else:
        await world.bus.append(msgspec.structs.replace(order, not_after=now()))
    async with world.executor():
        ended = await world.ending(order)

    assert isinstance(ended, BackupCancelled if cancelled else BackupFailed)
    assert ended.attempt == 2
    late = BackupCancelled(backup_id=order.backup_id, run_id=order.run_id, attempt=1)
    with pytest.raises(WrongSequenceError):
        await world.bus.append(
            late, expect=Expect(seq, f"evt.backup.attempted.*.{order.backup_id}")
        )


async def test_an_order_that_comes_twice_is_done_once(world: World, customer: Postgres) -> None:
    async with world.executor() as executor:
        order = world.backup_order(engine_of(customer), "postgres")
        await world.bus.append(order)
        await world.ending(order)
        (delivery,) = [one async for one in first(world.bus.follow("COMMANDS", after_seq=0))]
        await executor.on_order(delivery)
        facts = await world.facts(order)

    assert [type(one) for one in facts] == [BackupAttempted, BackupCompleted]


async def first(deliveries: Any) -> Any:
    async for one in deliveries:
        yield one
        return


async def test_an_order_sealed_for_another_pool_fails_without_a_word_of_it(
    world: World, customer: Postgres, tmp_path: Path
) -> None:
    stranger = World(world.bus, tmp_path / "stranger")
    order = stranger.backup_order(engine_of(customer), "postgres")
    async with world.executor():
        ended = await failed(world, order)

    assert ended.problem.code == "order.unreadable"


async def test_a_damaged_archive_restores_nothing(world: World, customer: Postgres) -> None:
    async with database(customer, SHOP) as name, world.executor():
        backup = await world.backup(engine_of(customer), name)
        order = await world.restore_order(engine_of(customer), f"new_{uuid4().hex[:8]}", backup)
        data = world.store / backup.prefix / "data.0"
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.chmod(0o600)
        data.write_bytes(content)
        await world.bus.append(order)
        ended = await world.ending(order)
        admin = await asyncpg.connect(customer.dsn())
        found = await admin.fetch("select datname from pg_database")
        await admin.close()

    assert isinstance(ended, RestoreFailed)
    assert ended.problem.code.startswith("archive."), ended.problem
    names = {row["datname"] for row in found}
    assert order.target not in names
    assert not [one for one in names if one.startswith("holdfast-")]


@pytest.mark.parametrize("why", ["cancelled", "broken"])
async def test_a_restore_stopped_after_its_target_got_its_name_has_completed(
    world: World, customer: Postgres, why: str
) -> None:
    async def point(name: str) -> None:
        if name != "restored":
            return
        if why == "broken":
            raise ValueError("a bug after the work")
        await world.bus.append(RunCancelRequested(run_id=orders[0].run_id))
        await asyncio.sleep(60)

    target = f"new_{uuid4().hex[:8]}"
    orders: list[RunRestore] = []
    async with database(customer, "create table t as select 1 a") as name:
        async with world.executor(point=point):
            backup = await world.backup(engine_of(customer), name)
            orders.append(await world.restore_order(engine_of(customer), target, backup))
            await world.bus.append(orders[0])
            ended = await world.ending(orders[0])
        restored = await asyncpg.connect(customer.dsn(), database=target)
        rows = await restored.fetchval("select count(*) from t")
        await restored.close()

    assert isinstance(ended, RestoreCompleted), ended
    assert (ended.attempt, ended.tables, rows) == (1, backup.archive.tables, 1)


async def test_a_cancelled_restore_whose_killed_worker_had_finished_it_has_completed(
    world: World, customer: Postgres
) -> None:
    target = f"new_{uuid4().hex[:8]}"
    async with database(customer, "create table t as select 1 a") as name, world.executor():
        backup = await world.backup(engine_of(customer), name)
        order = await world.restore_order(engine_of(customer), target, backup)
        await world.bus.append(order)
        await world.ending(order)
        (begun,) = await world.bus.last_of(f"evt.restore.attempted.core.{order.restore_id}")
    # The same order in a platform that never heard of its end.
    other = World(MemoryBus(), world.folder / "other", keys=world.keys)
    assert isinstance(begun.message, RestoreAttempted)
    await other.bus.append(begun.message)
    await other.bus.append(RunCancelRequested(run_id=order.run_id))
    await other.bus.append(order)
    async with other.executor():
        ended = await other.ending(order)

    assert isinstance(ended, RestoreCompleted), ended
    assert (ended.attempt, ended.tables) == (2, backup.archive.tables)


async def test_another_genuine_archive_in_the_place_of_the_right_one_restores_nothing(
    world: World, customer: Postgres
) -> None:
    async with database(customer, "create table t ()") as name, world.executor():
        old = await world.backup(engine_of(customer), name)
        new = await world.backup(engine_of(customer), name)
        swapped = msgspec.structs.replace(new, prefix=old.prefix)
        order = await world.restore_order(engine_of(customer), f"new_{uuid4().hex[:8]}", swapped)
        await world.bus.append(order)
        ended = await world.ending(order)

    assert isinstance(ended, RestoreFailed)
    assert ended.problem.code == "archive.object_changed"
