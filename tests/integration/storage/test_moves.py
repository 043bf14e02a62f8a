"""Tiers: what is old enough moves to the colder store, and stays the same backup."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import select

from services.storage import mover
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveDeleted,
    ArchiveReplicated,
    ArchiveRequested,
    BackupCorrupted,
    BackupDeleted,
    BackupGarbageDeleted,
    BackupMoved,
    BackupVerified,
)
from shared.messages.settings import StoreSetting
from shared.readmodel.tables import archives, backups
from shared.retention.history import histories
from shared.stores import Local
from tests.integration.storage.test_copies import add, completed, contents
from tests.integration.storage.test_storage import storing
from tests.integration.storage.world import World
from tests.unit.storage.builders import Said


@pytest.fixture
async def stores(platform: World, tmp_path: Path) -> tuple[Local, Local]:
    """A hot store whose backups move to a cold one after thirty days."""
    cold = await add(platform, tmp_path, "cold")
    hot = await add(platform, tmp_path, "s1")
    await platform.bus.append(
        StoreSetting(
            key="s1",
            name="s1",
            store={"kind": "local", "root": hot.root},
            move_after_days=30,
            move_to_store_id="cold",
        )
    )
    return hot, cold


@pytest.fixture
def a_month_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "now", lambda: now() + timedelta(days=31))


async def row_of(platform: World, backup: Said) -> Any:
    return await platform.model.one(select(backups).where(backups.c.id == backup.id))


@pytest.mark.usefixtures("a_month_later")
async def test_an_old_backup_moves_byte_by_byte_and_can_be_deleted_where_it_is_now(
    platform: World, stores: tuple[Local, Local]
) -> None:
    hot, cold = stores
    async with storing(platform, scrub_cycle_s=0.5):
        backup, _ = await completed(platform, hot, further=[])
        before = await contents(hot)
        (moved,) = await platform.heard(BackupMoved)
        (left,) = await platform.heard(ArchiveDeleted)

        assert (moved.from_store_id, moved.to_store_id) == ("s1", "cold")
        assert left.store_id == "s1"
        assert await contents(cold) == before
        assert await contents(hot) == {}
        row = await row_of(platform, backup)
        assert (row.status, row.store_id, row.first_store_id) == ("completed", "cold", "s1")
        assert row.proof == "verified"
        (candidate,) = (await histories(platform.model, [row.database_id]))[row.database_id]
        assert candidate.store_id == "s1"  # the policy of that store goes on to apply
        assert candidate.archive_id is None

        await backup.expired()
        await platform.heard(BackupDeleted)
        assert await contents(cold) == {}
    assert await platform.all_of(BackupCorrupted) == []
    assert await platform.all_of(BackupGarbageDeleted) == []
    copies = await platform.model.rows(select(archives.c.store_id, archives.c.status))
    assert [tuple(row) for row in copies] == [("s1", "deleted")]


async def test_a_young_backup_stays(platform: World, stores: tuple[Local, Local]) -> None:
    hot, cold = stores
    async with storing(platform):
        await completed(platform, hot, further=[])
        await platform.heard(BackupVerified)
        await completed(platform, hot, further=[])
        await platform.heard(BackupVerified, 2)

    assert await platform.all_of(ArchiveReplicated) == []
    assert await contents(cold) == {}


@pytest.mark.usefixtures("a_month_later")
async def test_a_copy_that_stands_there_already_is_what_it_moves_to(
    platform: World, stores: tuple[Local, Local]
) -> None:
    hot, cold = stores
    async with storing(platform):
        backup, _ = await completed(platform, hot, further=["cold"])
        (moved,) = await platform.heard(BackupMoved)
        await platform.heard(ArchiveDeleted)

    assert len(await platform.all_of(ArchiveReplicated)) == 1
    assert (await row_of(platform, backup)).store_id == "cold"
    assert await contents(hot) == {}
    there = await contents(cold)
    assert len(there) > 3
    # By which the scrub knows the envelope there, which a key rotation may have sealed anew.
    envelope = there[f"{moved.prefix}/envelope.{moved.envelope}"]
    assert moved.envelope_sha256 == hashlib.sha256(envelope).hexdigest()
    row = await row_of(platform, backup)
    assert (row.envelope, row.envelope_sha256) == (moved.envelope, moved.envelope_sha256)


@pytest.mark.usefixtures("a_month_later")
async def test_what_is_held_stays_where_it_is(platform: World, stores: tuple[Local, Local]) -> None:
    hot, _ = stores
    held, _ = await completed(platform, hot, further=[])
    await held.held()
    async with storing(platform):
        other, _ = await completed(platform, hot, further=[])
        (moved,) = await platform.heard(BackupMoved)

    assert moved.backup_id == other.id
    assert (await row_of(platform, held)).store_id == "s1"


@pytest.mark.usefixtures("a_month_later")
async def test_nothing_moves_to_where_it_has_no_room_until_there_is(
    platform: World, stores: tuple[Local, Local]
) -> None:
    hot, cold = stores
    narrow = StoreSetting(
        key="cold", name="cold", store={"kind": "local", "root": cold.root}, quota_bytes=1
    )
    await platform.bus.append(narrow)
    async with storing(platform):
        backup, _ = await completed(platform, hot, further=[])
        await platform.heard(BackupVerified)
        await asyncio.sleep(0.5)
        assert await platform.all_of(ArchiveRequested) == []
        wide = msgspec.structs.replace(narrow, id=uuid4(), quota_bytes=10**9)
        await platform.bus.append(wide)
        await platform.heard(BackupMoved)

    assert (await row_of(platform, backup)).store_id == "cold"
