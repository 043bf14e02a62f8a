"""Deep verifications by age: the oldest first, one at a time, whoever asks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select

from services.scheduler.rehearsals import ReadModelRehearsals
from services.scheduler.rereading import ReadModelUnread, Rereader
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveReplicated,
    ArchiveRequested,
    BackupCorrupted,
    BackupExpired,
    RestoreAttempted,
    RestoreCompleted,
    RestoreFailed,
)
from shared.messages.values import Problem
from shared.readmodel.tables import backups, restores, runs
from tests.integration.scheduler.test_rehearsals import HOUR, Still, backed_up, schedule
from tests.integration.town import Town

DAY_S = 86_400.0
AWAY = Problem(code="store.unreachable", cause="the store does not answer")


class Readers:
    """Several schedulers at the same clock."""

    def __init__(self, town: Town, clock: Still, *several: Rereader) -> None:
        self.town, self.clock, self.several = town, clock, several
        self.ended: set[UUID] = set()

    async def asked(self) -> list[UUID]:
        """Whose reading is asked for now, after all have looked."""
        await asyncio.gather(*(one.look() for one in self.several))
        await self.town.model.at_least(await self.town.last_seq())
        rows = await self.town.model.rows(select(restores).where(restores.c.deep))
        return [row.backup_id for row in rows if row.id not in self.ended]

    async def end(self, *, well: bool) -> None:
        """The executor has read what was asked for."""
        for row in await self.town.model.rows(
            select(restores).where(restores.c.status == "requested")
        ):
            about = {"restore_id": row.id, "run_id": row.run_id, "attempt": 1}
            say = self.town.executor.append
            await say(RestoreAttempted(**about, worker="w"))
            if well:
                whole = {"verified_backup_id": row.backup_id, "at": self.clock.moment}
                await say(RestoreCompleted(**about, seconds=1.5, raw_bytes=9, tables=[], **whole))
            else:
                await say(RestoreFailed(**about, problem=AWAY))
            self.ended.add(row.id)
        await self.town.model.at_least(await self.town.last_seq())


async def test_every_backup_is_read_in_turn_the_oldest_first_and_again_when_it_is_due(
    town: Town,
) -> None:
    old = await backed_up(town, town.database, 3 * HOUR, "s1")
    young = await backed_up(town, town.database, HOUR, "s1")
    corrupt = await backed_up(town, town.database, 5 * HOUR, "s1")
    problem = Problem(code="archive.object_changed", cause="x")
    await town.executor.append(BackupCorrupted(backup_id=corrupt, problem=problem))
    await town.model.at_least(await town.last_seq())
    clock = Still()
    async with town.nats.bus("scheduler") as one, town.nats.bus("scheduler") as two:
        unread = ReadModelUnread(town.model)
        many = (Rereader(bus, unread, 10 * DAY_S, clock) for bus in (one, two, one))
        readers = Readers(town, clock, *many)

        assert await readers.asked() == [old]
        assert await readers.asked() == [old]  # one at a time
        verifications = select(runs).where(runs.c.kind == "verification")
        assert len(await town.model.rows(verifications)) == 1
        await readers.end(well=True)
        (read,) = await town.model.rows(select(backups).where(backups.c.id == old))
        assert (read.deep_verified_at, read.deep_verify_s) == (clock.moment, 1.5)

        assert await readers.asked() == [young]
        await readers.end(well=False)
        assert await readers.asked() == []  # the store is away: not again today
        clock.moment += timedelta(days=1)
        assert await readers.asked() == [young]
        await readers.end(well=True)
        assert await readers.asked() == []

        clock.moment += timedelta(days=8)
        assert await readers.asked() == []
        clock.moment += timedelta(days=1)
        assert await readers.asked() == [old]
        await readers.end(well=True)
        clock.moment += timedelta(days=1)
        assert await readers.asked() == [young]


async def test_a_backup_of_which_only_a_copy_is_left_is_read_and_restored_too(town: Town) -> None:
    await town.gateway.append(schedule("s1", town))
    left = await backed_up(town, town.database, HOUR, "s1")
    gone = await backed_up(town, town.database, HOUR / 2, "s1")
    async with town.nats.bus("retention") as retention, town.nats.bus("storage") as storage:
        for one in (left, gone):
            await retention.append(BackupExpired(backup_id=one, reason="a policy"))
        copy: dict[str, Any] = {"archive_id": uuid4(), "backup_id": left, "store_id": "far"}
        await storage.append(ArchiveRequested(**copy))
        await storage.append(ArchiveReplicated(**copy, prefix="x", stored_bytes=1, seconds=0.1))
    await town.model.at_least(await town.last_seq())

    (newest,) = await ReadModelRehearsals(town.model).newest("s1")
    oldest = await ReadModelUnread(town.model).oldest(now(), set())

    assert newest.backup_id == left
    assert oldest is not None
    assert oldest.backup_id == left
