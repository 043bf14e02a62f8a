"""Object lock: what is verified cannot be deleted by anybody, and what is wanted gone waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from miniopy_async.error import S3Error
from miniopy_async.retention import Retention
from sqlalchemy import select

from services.storage import copies
from shared.messages.base import now
from shared.messages.facts import BackupDeleted, BackupDeletionBegun, BackupVerified
from shared.readmodel.tables import backups
from shared.stores import S3
from shared.stores.base import StoreSettingsError
from tests.integration.storage.test_copies import completed
from tests.integration.storage.test_storage import add_store, storing
from tests.integration.storage.world import World
from tests.support.s3 import S3Service, make_bucket, moto_s3, s3_client
from tests.unit.storage.builders import Said

BUCKET = "locked"


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Service]:
    with moto_s3() as service:
        yield service


@pytest.fixture
async def store(moto: S3Service, tmp_path: Path) -> S3:
    """A store in a bucket with object lock."""
    async with s3_client(moto) as client:
        if not await client.bucket_exists(BUCKET):
            await client.make_bucket(BUCKET, object_lock=True)
    return moto.store(prefix=tmp_path.name, bucket=BUCKET, lock_days=30)


async def versions(moto: S3Service, store: S3, backup: Said) -> list[tuple[str, str]]:
    """Every version of every object of the backup that the bucket still has."""
    async with s3_client(moto) as client:
        folder = f"{store.prefix}/{backup.id}/"
        listed = await client.list_objects(
            BUCKET, prefix=folder, recursive=True, include_version=True
        )
    return [(str(one.object_name), str(one.version_id)) for one in listed]


async def test_a_verified_backup_is_locked_and_its_deletion_waits_until_the_lock_is_over(
    moto: S3Service, platform: World, store: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_store(platform, store)
    async with storing(platform):
        backup, _ = await completed(platform, store, further=[])
        (verified,) = await platform.heard(BackupVerified)
        locked = await versions(moto, store, backup)
        async with s3_client(moto) as client:
            for name, version in locked:
                with pytest.raises(S3Error):
                    await client.remove_object(BUCKET, name, version_id=version)

        await backup.expired()
        await asyncio.sleep(1.0)  # some looks
        row = await platform.model.one(select(backups).where(backups.c.id == backup.id))
        assert row is not None
        assert (row.status, row.locked_until) == ("expired", verified.locked_until)
        assert timedelta(days=29) < row.locked_until - now() < timedelta(days=31)
        assert await platform.all_of(BackupDeletionBegun) == []

        await _end_locks(moto, locked)
        monkeypatch.setattr(copies, "now", lambda: now() + timedelta(days=31))
        await platform.heard(BackupDeleted)

    assert await versions(moto, store, backup) == []


async def _end_locks(moto: S3Service, locked: list[tuple[str, str]]) -> None:
    """As if the month had passed for the service, too."""
    soon = datetime.now(UTC) + timedelta(seconds=1)
    async with s3_client(moto) as client:
        for name, version in locked:
            config = Retention("GOVERNANCE", soon)
            await client.set_object_retention(BUCKET, name, config, version_id=version)
    await asyncio.sleep(1.5)


async def test_a_bucket_without_object_lock_is_told_by_the_test_of_the_store(
    moto: S3Service, tmp_path: Path
) -> None:
    await make_bucket(moto)

    with pytest.raises(StoreSettingsError, match="no object lock"):
        await moto.store(prefix=tmp_path.name, lock_days=1).test()


async def test_the_test_of_a_store_with_locks_leaves_nothing_behind(store: S3) -> None:
    await store.test()

    assert [info.key async for info in store.list("holdfast-test")] == []
