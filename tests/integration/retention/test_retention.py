"""Retention with real NATS and the real read model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from services.retention.history import ReadModelHistory
from services.retention.service import Retention
from shared.messages.base import now
from shared.messages.facts import BackupCorrupted, BackupExpired, BackupVerified
from shared.messages.settings import DatabaseSetting, PolicySetting, SettingRemoved
from shared.messages.values import ArchiveFacts, DatabaseRef, Problem
from tests.integration.storage.world import World, running
from tests.unit.storage.builders import Said

DATABASE = DatabaseRef(server_id=UUID(int=2), endpoint="main", name="shop")


@asynccontextmanager
async def retaining(platform: World) -> AsyncIterator[None]:
    """A retention service over a connection of its own."""
    async with platform.own_bus("retention") as bus:
        service = Retention(bus, ReadModelHistory(platform.model))
        async with running(service.listen()):
            yield


async def backup_of(platform: World, *, proof: str = "verified", store_id: str = "s1") -> Said:
    """A completed backup of the database."""
    backup = Said(platform.bus, store_id)
    await backup.requested()
    await backup.attempted(1)
    facts = ArchiveFacts(
        raw_bytes=1,
        stored_bytes=1,
        manifest_sha256="00",
        codec="zstd",
        tool="pg_dump",
        tool_version="16",
        server_version="16",
        taken_at=now(),
    )
    await backup.completed(1, facts)
    if proof == "verified":
        await platform.bus.append(BackupVerified(backup_id=backup.id, bytes_read=1, seconds=0.1))
    if proof == "corrupt":
        problem = Problem(code="archive.truncated", cause="an object is missing")
        await platform.bus.append(BackupCorrupted(backup_id=backup.id, problem=problem))
    return backup


async def keep(platform: World, count: int) -> None:
    """The policy of the database keeps so many."""
    await platform.bus.append(PolicySetting(key="p1", name="short", keep_last=count))
    await platform.bus.append(DatabaseSetting(key=str(DATABASE.id), policy_id="p1"))


async def expired(platform: World) -> list[UUID]:
    return [one.backup_id for one in await platform.all_of(BackupExpired)]


async def settled(platform: World) -> None:
    """Everything said so far was judged: a last fact of another kind of work is through."""
    await asyncio.sleep(0.7)


async def test_the_newest_good_backups_of_each_store_are_kept(platform: World) -> None:
    await backup_of(platform)
    await keep(platform, 2)
    async with retaining(platform):
        first, *_ = [await backup_of(platform) for _ in range(3)]
        other = await backup_of(platform, store_id="s2")
        await platform.heard(BackupExpired, 2)
        await settled(platform)

    gone = await platform.all_of(BackupExpired)
    assert len(gone) == 2
    assert gone[1].backup_id == first.id
    assert other.id not in await expired(platform)
    assert gone[0].reason == "policy short: the newest 2 good backups are kept"


async def test_failed_running_and_corrupt_backups_push_nothing_out(platform: World) -> None:
    good = await backup_of(platform)
    await keep(platform, 1)
    async with retaining(platform):
        running_one = Said(platform.bus)
        await running_one.requested()
        await running_one.attempted(1)
        failed_one = Said(platform.bus)
        await failed_one.requested()
        await failed_one.failed(0)
        corrupt = await backup_of(platform, proof="corrupt")
        unverified = await backup_of(platform, proof="unverified")
        await platform.heard(BackupExpired)
        await settled(platform)
        assert await expired(platform) == [corrupt.id]
        await backup_of(platform)
        await platform.heard(BackupExpired, 3)

    assert set(await expired(platform)) == {corrupt.id, good.id, unverified.id}


async def test_a_policy_that_keeps_less_expires_at_once_and_only_once(platform: World) -> None:
    made = [await backup_of(platform) for _ in range(4)]
    await keep(platform, 3)
    async with retaining(platform):
        await platform.heard(BackupExpired, 1)
        await keep(platform, 1)
        await platform.heard(BackupExpired, 3)
    async with retaining(platform):  # a new start judges everything again
        await settled(platform)

    assert await expired(platform) == [one.id for one in made[:3]]


async def test_what_was_missed_is_expired_at_the_start(platform: World) -> None:
    old = await backup_of(platform)
    await keep(platform, 1)
    await backup_of(platform)

    async with retaining(platform):
        await platform.heard(BackupExpired)

    assert await expired(platform) == [old.id]


async def test_without_a_policy_everything_is_kept(platform: World) -> None:
    await backup_of(platform)
    await keep(platform, 1)
    await platform.bus.append(SettingRemoved(key="p1", of="policy"))

    async with retaining(platform):
        for _ in range(3):
            await backup_of(platform)
        await settled(platform)

    assert await expired(platform) == []
