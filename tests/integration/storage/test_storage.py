"""Storage with real NATS, the real read model and real stores: what stands, goes or is reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from cryptography.fernet import Fernet

from services.auditor.writer import connected
from services.executor.plan import ArchiveReceipt
from services.storage.catalogue import ReadModelCatalogue
from services.storage.copies import ReadModelCopies
from services.storage.kept import ReadModelKept
from services.storage.opening import SealedStores
from services.storage.service import Storage
from services.storage.settings import Settings
from services.storage.tiers import ReadModelTiers
from shared.keys.bucket import BusKeys
from shared.keys.plugins import seal_config
from shared.keys.vault import Vault
from shared.messages.base import now
from shared.messages.facts import (
    BackupCorrupted,
    BackupDeleted,
    BackupDeletionBegun,
    BackupExpired,
    BackupGarbageDeleted,
    BackupUndeleted,
    BackupVerified,
    RestoreFailed,
    RestoreRequested,
)
from shared.messages.settings import DatabaseSetting, PolicySetting, StoreSetting
from shared.messages.values import ArchiveFacts, DatabaseRef, Problem, StoredObject
from shared.plugins import schemas_of
from shared.stores import AnyStore, Store
from tests.integration.storage.world import World, running
from tests.support import archives
from tests.support.archives import archive_facts
from tests.support.s3 import S3Service, make_bucket, moto_s3, open_uploads, s3_client
from tests.unit.storage.builders import Said, names, put

KEY = Fernet.generate_key().decode()


@asynccontextmanager
async def storing(
    platform: World, *, second_look_s: float = 3600.0, scrub_cycle_s: float = 86400.0
) -> AsyncIterator[None]:
    """A storage service over connections of its own."""
    settings = Settings(
        database_url="",
        encryption_key=KEY,
        second_look_s=second_look_s,
        scrub_cycle_s=scrub_cycle_s,
        look_every_s=0.3,
    )
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(platform.own_bus("storage"))
        stores = SealedStores(bus, Vault(BusKeys(bus), [KEY]), allow_loopback=True)
        model = platform.model
        service = Storage(
            bus,
            ReadModelCatalogue(model),
            ReadModelCopies(model),
            stores,
            settings,
            kept=ReadModelKept(model),
            tiers=ReadModelTiers(model),
            replica="r1",
        )
        await stack.enter_async_context(running(service.listen()))
        yield


async def add_store(platform: World, store: AnyStore) -> None:
    """The setting `s1`, its secrets sealed as the gateway does it."""
    config = msgspec.to_builtins(store)
    schema = schemas_of(AnyStore)[config["kind"]]
    vault = Vault(BusKeys(platform.bus), [KEY])
    sealed = await seal_config(vault, "cfg.store.s1", "store", config, schema)
    await platform.bus.append(StoreSetting(key="s1", name="s1", store=sealed))


async def archive(store: Store, backup: Said, number: int) -> ArchiveFacts:
    """An archive as the executor's pipeline writes it, and the facts about it."""
    plan = archives.make_plan(backup_id=str(backup.id), attempt=str(number))
    return facts_of(await archives.write(store, archives.text(300_000), plan))


def facts_of(receipt: ArchiveReceipt) -> ArchiveFacts:
    """What is said of an archive that was written."""
    objects = [
        StoredObject(name=one.name, size_bytes=one.size, sha256=one.sha256)
        for one in receipt.objects
    ]
    return archive_facts(
        raw_bytes=receipt.raw_bytes,
        stored_bytes=receipt.stored_bytes,
        manifest_sha256=receipt.manifest_sha256,
        objects=objects,
    )


async def complete(platform: World, store: Store) -> tuple[Said, ArchiveFacts]:
    """A backup that its second attempt completed; the first was killed while it wrote."""
    backup = Said(platform.bus)
    await backup.requested()
    await backup.attempted(1)
    await put(store, f"{backup.id}/1/data.0", b"x" * 5000)
    await backup.attempted(2)
    facts = await archive(store, backup, 2)
    await backup.completed(2, facts)
    return backup, facts


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Service]:
    with moto_s3() as service:
        yield service


@pytest.fixture(params=["local", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, platform: World) -> AnyStore:
    if request.param == "local":
        made: AnyStore = archives.local(tmp_path / "store")
    else:
        service: S3Service = request.getfixturevalue("moto")
        await make_bucket(service)
        made = service.store(prefix=tmp_path.name)
    await add_store(platform, made)
    return made


async def test_a_backup_is_verified_and_what_its_killed_attempt_left_is_gone(
    platform: World, store: AnyStore
) -> None:
    async with storing(platform):
        backup, facts = await complete(platform, store)
        (verified,) = await platform.heard(BackupVerified)
        (cleared,) = await platform.heard(BackupGarbageDeleted)

    envelope = next(one for one in facts.objects if one.name == "envelope.1")
    assert verified.bytes_read == facts.stored_bytes - envelope.size_bytes
    assert (cleared.attempt, cleared.freed_bytes) == (1, 5000)
    assert await names(store) == {f"{backup.id}/2/{one.name}" for one in facts.objects}


async def test_one_flipped_byte_makes_the_backup_corrupted(
    platform: World, store: AnyStore
) -> None:
    backup, _ = await complete(platform, store)
    key = f"{backup.id}/2/data.0"
    content = bytearray(b"".join([piece async for piece in store.get(key)]))
    content[len(content) // 2] ^= 1
    await store.delete(key)
    await put(store, key, bytes(content))

    async with storing(platform):
        (corrupted,) = await platform.heard(BackupCorrupted)

    assert corrupted.problem.code == "archive.object_changed"
    assert not await platform.all_of(BackupVerified)


async def test_an_expired_backup_leaves_an_empty_store(platform: World, store: AnyStore) -> None:
    async with storing(platform):
        backup, facts = await complete(platform, store)
        await platform.heard(BackupVerified)
        await backup.expired()
        (deleted,) = await platform.heard(BackupDeleted)
        await platform.heard(BackupGarbageDeleted)

    assert deleted.freed_bytes == facts.stored_bytes
    assert await names(store) == set()


async def test_a_backup_is_not_deleted_while_a_restore_reads_it(
    platform: World, tmp_path: Path
) -> None:
    store = archives.local(tmp_path / "store")
    await add_store(platform, store)
    backup, _ = await complete(platform, store)
    restore: dict[str, Any] = {"restore_id": uuid4(), "run_id": uuid4()}
    target = DatabaseRef(server_id=uuid4(), endpoint="main", name="again")
    await platform.bus.append(
        RestoreRequested(**restore, backup_id=backup.id, target=target, run_pool="core")
    )
    await backup.expired()

    async with storing(platform):
        await platform.heard(BackupGarbageDeleted)
        await asyncio.sleep(1.0)
        assert not await platform.all_of(BackupDeleted)
        problem = Problem(code="tool.failed", cause="the restore tool failed")
        await platform.bus.append(RestoreFailed(**restore, attempt=1, problem=problem))
        await platform.heard(BackupDeleted)


async def test_a_wish_to_delete_waits_for_a_signed_checkpoint(
    platform: World, tmp_path: Path
) -> None:
    store = archives.local(tmp_path / "store")
    await add_store(platform, store)
    backup, _ = await complete(platform, store)
    await backup.delete_requested()
    catalogue = ReadModelCatalogue(platform.model)
    last_seq = (await platform.bus.state("EVENTS")).last_seq
    await catalogue.at_least(last_seq)

    assert await catalogue.audited() == 0
    async with connected(platform.database) as connection:
        for size in (last_seq - 1, last_seq):
            await connection.execute(
                "INSERT INTO audit_checkpoints (size, root, note, at) VALUES ($1, '', '', now())",
                size,
            )
    assert await catalogue.audited() == last_seq


async def test_work_that_came_while_storage_was_away_is_done_once(
    platform: World, store: AnyStore
) -> None:
    backup, _ = await complete(platform, store)
    for _ in range(2):
        async with storing(platform):
            await platform.heard(BackupVerified)
            await platform.heard(BackupGarbageDeleted)
    last_seq = (await platform.bus.state("EVENTS")).last_seq

    async with storing(platform):
        await backup.expired()
        await platform.heard(BackupDeleted)

    # expired, deletion begun, deleted
    assert (await platform.bus.state("EVENTS")).last_seq == last_seq + 3
    assert len(await platform.all_of(BackupVerified)) == 1
    assert len(await platform.all_of(BackupGarbageDeleted)) == 1


async def test_nothing_is_deleted_while_that_can_be_taken_back(
    platform: World, store: AnyStore
) -> None:
    kept, _ = await complete(platform, store)
    gone, _ = await complete(platform, store)
    newest, _ = await complete(platform, store)
    await keep_one(platform)
    soon = now() + timedelta(seconds=2)
    for backup, after in ((kept, soon + timedelta(hours=1)), (gone, soon)):
        await platform.bus.append(left(backup, after))

    async with storing(platform):
        (deleted,) = await platform.heard(BackupDeleted)
        await platform.bus.append(BackupUndeleted(backup_id=kept.id))
        await asyncio.sleep(1)

    [begun] = await platform.all_of(BackupDeletionBegun)
    assert deleted.backup_id == begun.backup_id == gone.id
    assert begun.at >= soon
    standing = {name.split("/")[0] for name in await names(store)}
    assert standing == {str(kept.id), str(newest.id)}


async def test_what_expired_stays_when_what_outlived_it_is_found_damaged(
    platform: World, store: AnyStore
) -> None:
    old, gone, newest = [(await complete(platform, store))[0] for _ in range(3)]
    async with storing(platform):
        await platform.heard(BackupVerified, 3)
    await keep_one(platform)
    problem = Problem(code="archive.changed", cause="an object changed")
    await platform.bus.append(BackupCorrupted(backup_id=newest.id, problem=problem))
    await platform.bus.append(left(old, now()))
    await gone.expired()
    # Else storage may see the first expiry alone, and rightly delete that one.
    await platform.model.at_least((await platform.bus.state("EVENTS")).last_seq)

    async with storing(platform):
        (deleted,) = await platform.heard(BackupDeleted)
        await asyncio.sleep(0.5)

    assert deleted.backup_id == gone.id
    standing = {name.split("/")[0] for name in await names(store)}
    assert standing == {str(old.id), str(newest.id)}


async def test_storage_asks_for_more_backups_than_a_statement_has_parameters(
    platform: World,
) -> None:
    many = {uuid4() for _ in range(40_000)}

    assert await ReadModelCatalogue(platform.model).kept_again(many) == set()
    assert await ReadModelCopies(platform.model).folders("s1", many) == set()


async def keep_one(platform: World) -> None:
    """The policy of the database keeps one backup."""
    await platform.bus.append(PolicySetting(key="p1", name="short", keep_last=1))
    database = DatabaseRef(server_id=Said.SERVER, endpoint="main", name="shop")
    await platform.bus.append(DatabaseSetting(key=str(database.id), policy_id="p1"))


def left(backup: Said, until: datetime) -> BackupExpired:
    """The policy lets the backup expire; until then that can be taken back."""
    return BackupExpired(backup_id=backup.id, reason="policy", delete_after=until)


async def test_a_late_writer_is_found_by_the_second_look(platform: World, store: AnyStore) -> None:
    async with storing(platform, second_look_s=2.0):
        backup, facts = await complete(platform, store)
        await platform.heard(BackupGarbageDeleted)
        await put(store, f"{backup.id}/1/data.1", b"late")
        cleared = await platform.heard(BackupGarbageDeleted, 2)

    assert [one.freed_bytes for one in cleared] == [5000, 4]
    assert await names(store) == {f"{backup.id}/2/{one.name}" for one in facts.objects}


async def test_a_completion_that_came_after_another_ending_keeps_nothing_in_the_store(
    platform: World, store: AnyStore
) -> None:
    backup = Said(platform.bus)
    await backup.requested()
    await backup.attempted(1)
    facts = await archive(store, backup, 1)
    await backup.cancelled(1)
    await backup.completed(1, facts)

    async with storing(platform):
        await platform.heard(BackupGarbageDeleted)

    assert await names(store) == set()


async def test_no_unfinished_upload_of_a_failed_attempt_survives(
    platform: World, moto: S3Service, tmp_path: Path
) -> None:
    await make_bucket(moto)
    store = moto.store(prefix=tmp_path.name)
    await add_store(platform, store)
    backup = Said(platform.bus)
    await backup.requested()
    await backup.attempted(1)
    async with s3_client(moto) as client:
        key = f"{store.prefix}/{backup.id}/1/data.0"
        await client._create_multipart_upload(store.bucket, key, {})

    async with storing(platform):
        await backup.failed(1)
        await platform.heard(BackupGarbageDeleted)

    assert await open_uploads(moto, store.prefix) == 0
