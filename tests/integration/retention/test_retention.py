"""Retention with real NATS and the real read model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.auditor.writer import connected
from services.retention.history import ReadModelHistory
from services.retention.service import Retention
from shared.bus.base import EVENTS
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveCorrupted,
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveRequested,
    ArchiveUndeleted,
    BackupCorrupted,
    BackupDeleted,
    BackupDeleteRequested,
    BackupDeletionBegun,
    BackupExpired,
    BackupHeld,
    BackupReleased,
    BackupRequested,
    BackupUndeleted,
    BackupVerified,
    RestoreCompleted,
    RestoreRequested,
)
from shared.messages.facts.archives import archive_id
from shared.messages.settings import (
    DatabaseSetting,
    PolicySetting,
    ScheduleSetting,
    SettingRemoved,
)
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import (
    DatabaseRef,
    Hold,
    HoldKind,
    Problem,
)
from tests.integration.storage.world import World, running
from tests.support.archives import archive_facts
from tests.unit.storage.builders import Said

DATABASE = DatabaseRef(server_id=UUID(int=2), endpoint="main", name="shop")


@asynccontextmanager
async def retaining(platform: World, *, audited: bool = True) -> AsyncIterator[None]:
    """A retention service over a connection of its own; a notary signs what it waits for."""
    async with platform.own_bus("retention") as bus:
        window = timedelta(hours=1)
        service = Retention(bus, ReadModelHistory(platform.model), undo_window=window)
        async with running(service.listen()):
            if not audited:
                yield
                return
            async with signing(platform):
                yield


@asynccontextmanager
async def signing(platform: World) -> AsyncIterator[None]:
    """A checkpoint covers every entry soon after it was written."""
    async with connected(platform.database) as connection:

        async def sign() -> None:
            while True:
                await connection.execute(
                    "INSERT INTO audit_checkpoints (size, root, note, at)"
                    " SELECT max(n) + 1, '', '', now() FROM audit_logs HAVING max(n) IS NOT NULL"
                    " ON CONFLICT DO NOTHING"
                )
                await asyncio.sleep(0.05)

        task = asyncio.create_task(sign())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def backup_of(
    platform: World,
    *,
    proof: str = "verified",
    store_id: str = "s1",
    schedule_id: str | None = None,
) -> Said:
    """A completed backup of the database."""
    backup = Said(platform.bus, store_id)
    await platform.bus.append(
        BackupRequested(
            backup_id=backup.id,
            run_id=uuid4(),
            database=DATABASE,
            store_id=store_id,
            run_pool="core",
            schedule_id=schedule_id,
        )
    )
    await backup.attempted(1)
    facts = archive_facts(manifest_sha256="00")
    await backup.completed(1, facts)
    if proof == "verified":
        await platform.bus.append(BackupVerified(backup_id=backup.id, bytes_read=1, seconds=0.1))
    if proof == "corrupt":
        problem = Problem(code="archive.truncated", cause="an object is missing")
        await platform.bus.append(BackupCorrupted(backup_id=backup.id, problem=problem))
    return backup


async def keep(platform: World, count: int, **rules: Any) -> None:
    """The policy of the database keeps so many."""
    await platform.bus.append(PolicySetting(key="p1", name="short", keep_last=count, **rules))
    await platform.bus.append(DatabaseSetting(key=str(DATABASE.id), policy_id="p1"))


async def nightly(platform: World, **policies: str | None) -> None:
    """A schedule whose stores have these policies."""
    targets = [ScheduleTarget(store_id=one, policy_id=policies[one]) for one in policies]
    await platform.bus.append(
        ScheduleSetting(key="nightly", name="nightly", cron="0 2 * * *", targets=targets)
    )


async def copy_of(platform: World, backup: Said, store_id: str = "s2") -> UUID:
    """A copy of the backup in a further store."""
    copy = archive_id(backup.id, store_id)
    about: dict[str, Any] = {"archive_id": copy, "backup_id": backup.id, "store_id": store_id}
    await platform.bus.append(ArchiveRequested(**about))
    await platform.bus.append(
        ArchiveReplicated(**about, prefix=str(copy), stored_bytes=1, seconds=0.1)
    )
    return copy


async def expired(platform: World) -> list[UUID]:
    return [one.backup_id for one in await platform.all_of(BackupExpired)]


async def settled(platform: World) -> None:
    """Everything said so far was judged: a last fact of another kind of work is through."""
    await asyncio.sleep(0.7)


async def test_the_newest_good_backups_of_each_store_are_kept(platform: World) -> None:
    oldest = await backup_of(platform)
    await keep(platform, 2)
    async with retaining(platform):
        first, *_ = [await backup_of(platform) for _ in range(3)]
        other = await backup_of(platform, store_id="s2")
        await platform.heard(BackupExpired, 2)
        await settled(platform)

    gone = await platform.all_of(BackupExpired)
    assert sorted(one.backup_id for one in gone) == sorted([oldest.id, first.id])
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

    assert sorted(await expired(platform)) == sorted(one.id for one in made[:3])


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


async def test_a_store_of_a_schedule_has_its_own_policy_and_another_that_of_the_database(
    platform: World,
) -> None:
    await platform.bus.append(PolicySetting(key="p2", name="long", keep_last=2))
    await nightly(platform, s1="p2", s2=None)
    made = [await backup_of(platform, schedule_id="nightly") for _ in range(3)]
    await keep(platform, 1)
    copies = [await copy_of(platform, one) for one in made]

    async with retaining(platform):
        await platform.heard(ArchiveExpired, 2)
        await platform.heard(BackupExpired, 1)

    assert await expired(platform) == [made[0].id]
    gone = await platform.all_of(ArchiveExpired)
    assert {one.archive_id for one in gone} == set(copies[:2])
    assert gone[0].reason == "policy short: the newest 1 good backups are kept"


async def test_backups_of_a_deleted_schedule_fall_under_the_policy_of_their_database(
    platform: World,
) -> None:
    await platform.bus.append(PolicySetting(key="p2", name="long", keep_last=9))
    await nightly(platform, s1="p2")
    made = [await backup_of(platform, schedule_id="nightly") for _ in range(2)]
    await keep(platform, 1)

    async with retaining(platform):
        await settled(platform)
        assert await expired(platform) == []
        await platform.bus.append(SettingRemoved(key="nightly", of="schedule"))
        await platform.heard(BackupExpired)

    assert await expired(platform) == [made[0].id]


async def test_a_copy_expires_also_when_the_first_archive_is_gone_and_once_each_time_it_was_made(
    platform: World,
) -> None:
    old, new = await backup_of(platform), await backup_of(platform)
    for one in (old, new):
        await copy_of(platform, one)
    await platform.bus.append(BackupExpired(backup_id=old.id, reason="by hand"))
    await platform.bus.append(BackupDeleted(backup_id=old.id, freed_bytes=1))
    await keep(platform, 1)

    async with retaining(platform):
        await platform.heard(ArchiveExpired)
        await keep(platform, 1)
        await settled(platform)

    assert [one.backup_id for one in await platform.all_of(ArchiveExpired)] == [old.id]


async def test_a_copy_that_somebody_wants_deleted_fills_no_place(platform: World) -> None:
    old, new = await backup_of(platform), await backup_of(platform)
    stays, _ = [await copy_of(platform, one) for one in (old, new)]
    await platform.bus.append(BackupExpired(backup_id=new.id, reason="by hand"))
    await platform.bus.append(BackupDeleted(backup_id=new.id, freed_bytes=1))
    await platform.bus.append(BackupDeleteRequested(backup_id=new.id))
    history = ReadModelHistory(platform.model)
    await history.at_least((await platform.bus.state(EVENTS)).last_seq)

    found = (await history.of([DATABASE.id]))[DATABASE.id]

    assert {(one.backup_id, one.archive_id) for one in found} == {(old.id, None), (old.id, stays)}


async def test_a_held_backup_expires_nowhere_before_it_is_released(platform: World) -> None:
    old, new = await backup_of(platform), await backup_of(platform)
    copy = await copy_of(platform, old)
    await copy_of(platform, new)
    hold = Hold(kind=HoldKind.LEGAL, reason="case 7", actor="ada", at=now())
    about: dict[str, Any] = {"backup_id": old.id, "kind": hold.kind, "reason": hold.reason}
    await platform.bus.append(BackupHeld(**about, holds=[hold]))
    await keep(platform, 1)

    async with retaining(platform):
        await settled(platform)
        assert await expired(platform) == []
        await platform.bus.append(BackupReleased(**about, holds=[]))
        await platform.heard(BackupExpired)
        (gone,) = await platform.heard(ArchiveExpired)

    assert gone.archive_id == copy


async def test_what_expired_comes_back_when_what_outlived_it_is_found_damaged(
    platform: World,
) -> None:
    old, new = await backup_of(platform), await backup_of(platform)
    copies = [await copy_of(platform, one) for one in (old, new)]
    await keep(platform, 1)

    async with retaining(platform):
        await platform.heard(BackupExpired)
        (left,) = await platform.heard(ArchiveExpired)
        for fact in damaged(new, copies[1]):
            await platform.bus.append(fact)
        (back,) = await platform.heard(BackupUndeleted)
        (copy_back,) = await platform.heard(ArchiveUndeleted)
        await settled(platform)

    assert left.delete_after is not None
    assert (back.backup_id, copy_back.archive_id) == (old.id, copies[0])
    assert "last good" in back.reason
    assert await expired(platform) == [old.id]


@pytest.mark.parametrize("how", ["a hold", "a longer policy", "its successor is deleted"])
async def test_what_expired_comes_back_by_itself_with(platform: World, how: str) -> None:
    old, new = await backup_of(platform), await backup_of(platform)
    await keep(platform, 1)

    async with retaining(platform):
        await platform.heard(BackupExpired)
        if how == "a hold":
            await old.held()
        elif how == "a longer policy":
            await keep(platform, 2)
        else:
            await platform.bus.append(BackupDeleteRequested(backup_id=new.id))
        (back,) = await platform.heard(BackupUndeleted)

    assert back.backup_id == old.id


async def test_what_somebody_deleted_or_whose_deletion_began_does_not_come_back(
    platform: World,
) -> None:
    old, older, newest = [await backup_of(platform) for _ in range(3)]
    await keep(platform, 1)

    async with retaining(platform):
        await platform.heard(BackupExpired, 2)
        await platform.bus.append(BackupDeleteRequested(backup_id=old.id))
        await platform.bus.append(BackupDeletionBegun(backup_id=older.id))
        for fact in damaged(newest):
            await platform.bus.append(fact)
        await settled(platform)

    assert await platform.all_of(BackupUndeleted) == []


def damaged(backup: Said, copy: UUID | None = None) -> list[BackupCorrupted | ArchiveCorrupted]:
    """The backup reads badly, and so does its copy in the further store."""
    problem = Problem(code="archive.truncated", cause="an object is missing")
    found: list[BackupCorrupted | ArchiveCorrupted] = [
        BackupCorrupted(backup_id=backup.id, problem=problem)
    ]
    if copy is not None:
        about: dict[str, Any] = {"archive_id": copy, "backup_id": backup.id, "store_id": "s2"}
        found.append(ArchiveCorrupted(**about, problem=problem))
    return found


async def test_what_only_time_keeps_expires_when_its_time_is_over_without_an_event(
    platform: World,
) -> None:
    old, held = await backup_of(platform), await backup_of(platform)
    await backup_of(platform)
    until = now() + timedelta(seconds=3)
    hold = Hold(kind=HoldKind.HOLD, reason="soon", until=until, actor="ada", at=now())
    await platform.bus.append(
        BackupHeld(backup_id=held.id, kind=hold.kind, reason="soon", until=until, holds=[hold])
    )
    await keep(platform, 1, min_age_s=2)

    async with retaining(platform):
        await platform.heard(BackupExpired, 2, within=20)

    assert set(await expired(platform)) == {old.id, held.id}


async def test_a_backup_that_a_restore_reads_expires_after_it(platform: World) -> None:
    old, _ = await backup_of(platform), await backup_of(platform)
    restore: dict[str, Any] = {"restore_id": uuid4(), "run_id": uuid4()}
    await platform.bus.append(
        RestoreRequested(**restore, backup_id=old.id, target=DATABASE, run_pool="core")
    )
    await keep(platform, 1)

    async with retaining(platform):
        await settled(platform)
        assert await expired(platform) == []
        await platform.bus.append(
            RestoreCompleted(**restore, attempt=1, seconds=1.0, raw_bytes=1, tables=[])
        )
        await platform.heard(BackupExpired)


async def test_a_cut_takes_nothing_before_the_audit_log_has_signed_it(platform: World) -> None:
    old, _ = await backup_of(platform), await backup_of(platform)
    await keep(platform, 1)

    async with retaining(platform, audited=False):
        await settled(platform)
        assert await expired(platform) == []
        async with signing(platform):
            await platform.heard(BackupExpired)

    assert await expired(platform) == [old.id]


async def test_while_nothing_expires_nothing_is_said(platform: World) -> None:
    await backup_of(platform)
    await keep(platform, 1, keep_days=30, min_age_s=3600)
    async with retaining(platform):
        await settled(platform)
        before = (await platform.bus.state(EVENTS)).last_seq
        await settled(platform)

        assert (await platform.bus.state(EVENTS)).last_seq == before
