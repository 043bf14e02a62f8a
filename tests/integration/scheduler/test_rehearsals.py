"""Restore tests by schedule: each slot of each database once, of the newest good backup."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import func, select

from services.scheduler.clock import Clock
from services.scheduler.rehearsals import ReadModelRehearsals, Rehearser
from services.scheduler.state import ReadModelState
from shared.messages.base import now
from shared.messages.facts import (
    BackupAttempted,
    BackupCompleted,
    BackupCorrupted,
    BackupRequested,
    RestoreRequested,
)
from shared.messages.settings import ScheduleSetting
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import Check, DatabaseRef
from shared.readmodel.tables import event_log, restores
from tests.integration.town import Town
from tests.support.archives import archive_facts

HOUR = timedelta(hours=1)


async def backed_up(town: Town, database: DatabaseRef, age: timedelta, schedule: str) -> UUID:
    """A backup of the schedule that completed so long ago."""
    backup_id, run_id, taken = uuid4(), uuid4(), now() - age
    about = {"backup_id": backup_id, "run_id": run_id}
    async with town.nats.bus("scheduler") as scheduler:
        await scheduler.append(
            BackupRequested(
                **about,
                database=database,
                store_id="main",
                run_pool="core",
                schedule_id=schedule,
                slot=taken.replace(second=0, microsecond=0),
            )
        )
    prefix = f"{backup_id}/1"
    await town.executor.append(
        BackupAttempted(**about, attempt=1, worker="w", store_id="main", prefix=prefix)
    )
    await town.executor.append(
        BackupCompleted(
            **about,
            attempt=1,
            prefix=prefix,
            started_at=taken,
            seconds=1.0,
            archive=archive_facts(manifest_sha256="0" * 64, taken_at=taken),
        )
    )
    return backup_id


def schedule(key: str, town: Town, **fields: object) -> ScheduleSetting:
    given = {
        "key": key,
        "name": key,
        "at": now() - 2 * HOUR,
        "cron": "0 0 1 1 *",
        "database_ids": [str(town.database.id)],
        "targets": [ScheduleTarget(store_id="main")],
        "test_restore": "* * * * *",
    }
    return ScheduleSetting(**given | fields)  # type: ignore[arg-type]


class Still(Clock):
    """Always the same moment."""

    def __init__(self) -> None:
        self.moment = now()

    def now(self):  # type: ignore[no-untyped-def]
        return self.moment


async def test_each_slot_is_requested_once_by_any_number_of_schedulers(town: Town) -> None:
    other = msgspec.structs.replace(town.database, name="other")
    await town.gateway.append(schedule("s1", town))
    await town.gateway.append(schedule("idle", town, test_restore=""))
    await town.gateway.append(schedule("stopped", town, paused=True))
    await backed_up(town, town.database, 2 * HOUR, "s1")
    newest = await backed_up(town, town.database, HOUR, "s1")
    corrupt = await backed_up(town, town.database, HOUR / 2, "s1")
    of_other = await backed_up(town, other, HOUR, "s1")
    await backed_up(town, town.database, HOUR / 4, "idle")
    await backed_up(town, town.database, HOUR / 4, "stopped")
    async with town.nats.bus("storage") as storage:
        problem = {"code": "archive.object_changed", "cause": "x"}
        await storage.append(
            msgspec.convert(
                {"backup_id": corrupt, "problem": problem}, BackupCorrupted, strict=False
            )
        )
    await town.model.at_least(await town.last_seq())
    clock = Still()

    async with town.nats.bus("scheduler") as one, town.nats.bus("scheduler") as two:
        several = [
            Rehearser(bus, ReadModelRehearsals(town.model), clock) for bus in (one, two, one, two)
        ]
        await asyncio.gather(*(each.look() for each in several))
        await several[0].look()
        await town.model.at_least(await town.last_seq())
        rows = await town.model.rows(select(restores))
        assert {(row.backup_id, row.target_name) for row in rows} == {
            (newest, "shop"),
            (of_other, "other"),
        }
        assert {(row.test, row.schedule_id, row.status) for row in rows} == {
            (True, "s1", "requested")
        }
        assert {row.slot for row in rows} == {clock.moment.replace(second=0, microsecond=0)}

        clock.moment += timedelta(minutes=3)
        await asyncio.gather(*(each.look() for each in several))
    await town.model.at_least(await town.last_seq())
    assert len(await town.model.rows(select(restores))) == 4  # the last of three slots alone
    facts = event_log.c.subject.like("evt.restore.requested.%")
    doubled = select(event_log.c.subject).where(facts).group_by(event_log.c.subject)
    assert not await town.model.rows(doubled.having(func.count() > 1))
    assert await town.said(RestoreRequested, rows[0].id)


async def test_a_test_asks_what_the_schedule_of_the_backup_asks_of_that_database(
    town: Town,
) -> None:
    elsewhere = Check(name="elsewhere", query="select 2", database_ids=[str(uuid4())])
    here = Check(name="here", query="select 3", database_ids=[str(town.database.id)])
    everywhere = Check(name="everywhere", query="select 1", at_least=1.0)
    await town.gateway.append(schedule("s1", town, checks=[everywhere, elsewhere, here]))
    backup_id = await backed_up(town, town.database, HOUR, "s1")
    await town.model.at_least(await town.last_seq())

    state = ReadModelState(town.model)

    assert await state.checks(backup_id) == [everywhere, here]
    assert await state.checks(uuid4()) == []
