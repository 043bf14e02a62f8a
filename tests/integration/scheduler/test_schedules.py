"""Three scheduler processes, the active one killed: every slot of every database once."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import func, select

from shared.messages.base import now
from shared.messages.facts import ServerDiscovered
from shared.messages.settings import ScheduleSetting
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import FoundDatabase
from shared.readmodel.tables import backups, event_log
from tests.integration.scheduler.test_process import ROOT, environment
from tests.integration.town import Town
from tests.support.waiting import eventually

DATABASES, SCHEDULES, SLOTS = 10, 8, 3


@asynccontextmanager
async def scheduler(town: Town) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.scheduler", cwd=ROOT, env=environment(town, "scheduler")
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def leader(town: Town) -> bytes | None:
    entry = await town.gateway.kv("leases").get("scheduler")
    return entry.value if entry is not None else None


async def requested(town: Town) -> Counter[tuple[str, UUID, datetime]]:
    rows = await town.model.rows(select(backups).where(backups.c.schedule_id.is_not(None)))
    return Counter((row.schedule_id, row.database_id, row.slot) for row in rows)


async def test_no_slot_is_missed_or_doubled_when_the_active_scheduler_is_killed(town: Town) -> None:
    found = [FoundDatabase(endpoint="main", name=f"db{number}") for number in range(DATABASES)]
    discovered = ServerDiscovered(server_id=town.server_id, run_id=uuid4(), databases=found)
    await town.executor.append(discovered)
    named = [msgspec.structs.replace(town.database, name=one.name) for one in found]
    ids = [database.id for database in named]
    minute = now().replace(second=0, microsecond=0)
    slots = [minute - timedelta(minutes=number) for number in range(SLOTS)]
    expected = {(f"s{n}", one, slot) for n in range(SCHEDULES) for one in ids for slot in slots}

    async with AsyncExitStack() as stack:
        active = await stack.enter_async_context(scheduler(town))
        first = await eventually(lambda: leader(town), within=60)
        for _ in range(2):
            await stack.enter_async_context(scheduler(town))
        for number in range(SCHEDULES):
            setting = ScheduleSetting(
                key=f"s{number}",
                name=f"s{number}",
                at=slots[-1] - timedelta(seconds=1),
                cron="* * * * *",
                database_ids=[str(one) for one in ids],
                targets=[ScheduleTarget(store_id="main")],
                missed="run_all",
            )
            await town.gateway.append(setting)
        await eventually(lambda: requested(town), within=60)
        active.kill()

        async def another_leads() -> bool:
            return await leader(town) not in {None, first}

        await eventually(another_leads, within=90)

        async def all_of_them() -> bool:
            return expected <= set(await requested(town))

        await eventually(all_of_them, within=120)

    assert set((await requested(town)).values()) == {1}
    said = func.count().label("said")
    facts = event_log.c.subject.like("evt.backup.requested.%")
    doubled = select(event_log.c.subject, said).where(facts).group_by(event_log.c.subject)
    assert not await town.model.rows(doubled.having(said > 1))
