"""What the next backup will need, and what stands or is still to come where there is a quota."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import select, text

from services.scheduler.filling import in_group, need_of
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveReplicated,
    ArchiveRequested,
    BackupAttempted,
    BackupCompleted,
    BackupRequested,
    RunDispatched,
)
from shared.messages.facts.archives import archive_id
from shared.messages.settings import GroupSetting, ServerSetting, StoreSetting
from shared.messages.values import BackupType
from shared.readmodel.tables import backups
from tests.integration.town import Town
from tests.unit.scheduler.world import FACTS

FULL, INCREMENT = BackupType.FULL, BackupType.INCREMENTAL
QUOTA = 10**9
STORES = [
    StoreSetting(key=key, name=key, store={"kind": "local", "root": f"/{key}"}, quota_bytes=QUOTA)
    for key in ("main", "far")
]


async def requested(town: Town, kind: BackupType = FULL, *further: str) -> BackupRequested:
    asked = BackupRequested(
        backup_id=uuid4(),
        run_id=uuid4(),
        database=town.database,
        store_id="main",
        run_pool="core",
        type_wanted=kind,
        further_store_ids=[*further],
    )
    await town.gateway.append(asked)
    return asked


async def completed(town: Town, asked: BackupRequested, size: int) -> None:
    about: dict[str, Any] = {"backup_id": asked.backup_id, "run_id": asked.run_id, "attempt": 1}
    prefix = f"{asked.backup_id}/1"
    say = town.executor.append
    await say(BackupAttempted(**about, worker="w", store_id="main", prefix=prefix))
    await say(
        BackupCompleted(
            **about,
            prefix=prefix,
            started_at=now(),
            seconds=1.0,
            archive=msgspec.structs.replace(FACTS, stored_bytes=size),
            type_made=asked.type_wanted,
        )
    )


async def filled(town: Town, kind: BackupType = FULL) -> tuple[int, dict[str, tuple[int, int]]]:
    """The bytes wanted, and of each quota what stands or is to come, and what is under way."""
    [last] = await town.gateway.last_of(f"cfg.server.{town.server_id}")
    assert isinstance(last.message, ServerSetting)
    server = msgspec.structs.replace(last.message, group_ids=["g1"])
    await town.model.at_least(await town.last_seq())
    need = await need_of(town.model, server, STORES, town.database.id, kind)
    of = {one.name: (one.stored_bytes, sum(one.promised.values())) for one in need.fillings}
    return need.wanted_bytes, of


async def test_a_backup_is_thought_to_be_as_large_as_the_last_of_its_type(town: Town) -> None:
    await completed(town, await requested(town, FULL), 1000)
    unknown, _ = await filled(town, INCREMENT)
    for size in (30, 40):
        await completed(town, await requested(town, INCREMENT), size)

    assert unknown == 1000  # an increment is seldom larger than a full
    assert (await filled(town, FULL))[0] == 1000
    assert (await filled(town, INCREMENT))[0] == 40


async def test_copies_count_from_the_moment_their_backup_is_dispatched(town: Town) -> None:
    await town.gateway.append(GroupSetting(key="g1", name="web", quota_bytes=QUOTA))
    [last] = await town.gateway.last_of(f"cfg.server.{town.server_id}")
    assert isinstance(last.message, ServerSetting)
    inside = msgspec.structs.replace(last.message, id=uuid4(), group_ids=["g1"])
    await town.gateway.append(inside)
    await completed(town, await requested(town), 1000)
    asked = await requested(town, FULL, "far")
    async with town.nats.bus("scheduler") as scheduler:
        said = RunDispatched(run_id=asked.run_id, kind="backup", run_pool="core", order_id=uuid4())
        await scheduler.append(said)

    _, under_way = await filled(town)
    await completed(town, asked, 600)
    _, to_come = await filled(town)
    copy: dict[str, Any] = {
        "archive_id": archive_id(asked.backup_id, "far"),
        "backup_id": asked.backup_id,
        "store_id": "far",
    }
    async with town.nats.bus("storage") as storage:
        await storage.append(ArchiveRequested(**copy))
        _, asked_for = await filled(town)
        await storage.append(ArchiveReplicated(**copy, prefix="x", stored_bytes=600, seconds=0.1))
    _, there = await filled(town)

    main, far, group = "the store main", "the store far", "the group web"
    assert under_way == {main: (1000, 1000), far: (0, 1000), group: (1000, 2000)}
    done = {main: (1600, 0), far: (600, 0), group: (2200, 0)}
    assert to_come == asked_for == there == done


async def test_the_backups_of_a_group_are_found_by_its_servers(town: Town) -> None:
    engine = town.model._engine
    async with engine.connect() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        query = select(backups.c.id).where(in_group("g1"))
        asked = f"EXPLAIN {query.compile(dialect=engine.dialect)}"
        plan = str((await connection.exec_driver_sql(asked, ('["g1"]',))).all())
        await connection.execute(text("RESET enable_seqscan"))

    assert "Index Cond: (server_id = " in plan, plan
