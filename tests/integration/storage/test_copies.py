"""Copies of backups in further stores: made, read back, taken over after a cut, removed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.storage.copies import ReadModelCopies
from services.storage.replication import replicate
from shared.archive.envelopes import rotate_envelope
from shared.archive.errors import EnvelopeTamperedError
from shared.bus import Expect
from shared.bus.base import EVENTS
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveDeleted,
    ArchiveDeletionBegun,
    ArchiveExpired,
    ArchiveFailed,
    ArchiveReplicated,
    ArchiveRequested,
    ArchiveUndeleted,
    BackupDeleted,
    BackupGarbageDeleted,
    BackupRewrapped,
    BackupVerified,
)
from shared.messages.facts.archives import archive_id
from shared.messages.settings import StoreSetting
from shared.messages.values import ArchiveFacts
from shared.stores import Local
from shared.stores.base import Store
from tests.integration.storage.test_storage import archive, storing
from tests.integration.storage.world import World
from tests.support.archives import RECIPIENT, RECOVERY
from tests.unit.storage.builders import Said, names

MARKERS = "holdfast-store/"


async def add(platform: World, folder: Path, name: str) -> Local:
    root = folder / name
    root.mkdir()
    config = {"kind": "local", "root": str(root)}
    await platform.bus.append(StoreSetting(key=name, name=name, store=config))
    return Local(root=str(root))


@pytest.fixture
async def stores(platform: World, tmp_path: Path) -> tuple[Local, Local]:
    """The store of the dump, and another one."""
    return await add(platform, tmp_path, "s1"), await add(platform, tmp_path, "far")


async def completed(
    platform: World, store: Store, *, further: list[str]
) -> tuple[Said, ArchiveFacts]:
    backup = Said(platform.bus, further=further)
    await backup.requested()
    await backup.attempted(1)
    facts = await archive(store, backup, 1)
    await backup.completed(1, facts)
    return backup, facts


async def contents(store: Store) -> dict[str, bytes]:
    """Every object but the store's marker."""
    return {
        info.key: b"".join([piece async for piece in store.get(info.key)])
        async for info in store.list("")
        if not info.key.startswith(MARKERS)
    }


async def test_a_completed_backup_is_copied_to_its_further_stores_byte_by_byte(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    async with storing(platform):
        backup, _ = await completed(platform, near, further=["far"])
        (copied,) = await platform.heard(ArchiveReplicated)

    assert await contents(far) == await contents(near)
    assert copied.archive_id == archive_id(backup.id, "far")
    assert copied.prefix == f"{backup.id}/1"
    assert len(await platform.all_of(ArchiveRequested)) == 1


async def test_what_an_earlier_try_left_is_taken_over_when_right_and_replaced_when_not(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    backup, facts = await completed(platform, near, further=["far"])
    whole = Path(near.root) / f"{backup.id}/1"
    begun = Path(far.root) / f"{backup.id}/1"
    begun.mkdir(parents=True)
    (begun / "index").write_bytes((whole / "index").read_bytes())
    (begun / facts.objects[0].name).write_bytes(b"cut")
    (Path(far.root) / "holdfast-store").mkdir()
    (Path(far.root) / "holdfast-store" / "far").write_bytes(b"marked")

    async with storing(platform):
        await platform.heard(ArchiveReplicated)

    assert await contents(far) == await contents(near)


async def test_a_copy_of_a_damaged_archive_fails_and_leaves_nothing(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    backup, facts = await completed(platform, near, further=["far"])
    damaged = Path(near.root) / f"{backup.id}/1" / facts.objects[0].name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.chmod(0o600)
    damaged.write_bytes(content)

    async with storing(platform):
        (failed,) = await platform.heard(ArchiveFailed)

    assert failed.problem.code.startswith("archive.")
    assert await contents(far) == {}


async def test_an_envelope_that_was_changed_since_it_was_sealed_anew_is_not_copied(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    backup, _ = await completed(platform, near, further=["far"])
    prefix = f"{backup.id}/1"
    sealed = await rotate_envelope(near, prefix, (RECIPIENT,), (RECOVERY.public,))
    rewrapped = BackupRewrapped(
        backup_id=backup.id,
        store_id="s1",
        prefix=prefix,
        envelope=sealed.number,
        recipients=[*sealed.recipients],
        envelope_sha256=sealed.sha256,
    )
    await platform.bus.append(rewrapped)
    envelope = Path(near.root) / prefix / f"envelope.{sealed.number}"
    envelope.chmod(0o600)
    envelope.write_bytes(envelope.read_bytes().replace(b'"sealed":"', b'"sealed":"00', 1))

    asked = ArchiveRequested(
        archive_id=archive_id(backup.id, "far"), backup_id=backup.id, store_id="far"
    )
    await platform.bus.append(asked)
    await platform.model.at_least((await platform.bus.state(EVENTS)).last_seq)

    (copy,) = await ReadModelCopies(platform.model).wanted("far")
    (source,) = copy.sources

    with pytest.raises(EnvelopeTamperedError):
        await replicate(near, far, copy.folder, source.written)
    assert f"{prefix}/manifest" not in await contents(far)


async def test_an_expired_copy_goes_and_the_backup_stays(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    async with storing(platform):
        backup, _ = await completed(platform, near, further=["far"])
        await platform.heard(ArchiveReplicated)
        about = archive_id(backup.id, "far")
        expired = ArchiveExpired(
            archive_id=about, backup_id=backup.id, store_id="far", reason="policy"
        )
        await platform.bus.append(expired, expect=Expect(0))
        (gone,) = await platform.heard(ArchiveDeleted)

    assert gone.freed_bytes > 0
    assert await contents(far) == {}
    assert len(await contents(near)) > 3


async def test_an_expired_copy_waits_for_its_undo_window_and_may_come_back(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    async with storing(platform):
        backup, _ = await completed(platform, near, further=["far"])
        await platform.heard(ArchiveReplicated)
        about = archive_id(backup.id, "far")
        copy: dict[str, Any] = {"archive_id": about, "backup_id": backup.id, "store_id": "far"}
        later = now() + timedelta(hours=1)
        await platform.bus.append(ArchiveExpired(**copy, reason="policy", delete_after=later))
        other, _ = await completed(platform, near, further=["far"])
        await platform.heard(ArchiveReplicated, 2)
        assert await platform.all_of(ArchiveDeletionBegun) == []
        await platform.bus.append(ArchiveUndeleted(**copy))
        await platform.bus.append(ArchiveExpired(**copy, reason="moved"))
        await platform.heard(ArchiveDeleted)

    assert len(await platform.all_of(ArchiveDeletionBegun)) == 1
    assert {name.split("/")[0] for name in await contents(far)} == {str(other.id)}


async def test_a_copy_outlives_the_expiry_of_its_backup_and_is_no_stranger_to_its_store(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    async with storing(platform):
        backup, _ = await completed(platform, near, further=["far"])
        await platform.heard(ArchiveReplicated)
        await platform.heard(BackupVerified)
        await backup.expired()
        await platform.heard(BackupDeleted)
    async with storing(platform):  # looks at everything in the store when it starts
        again, _ = await completed(platform, near, further=[])
        await platform.heard(BackupVerified, 2)

    assert await platform.all_of(ArchiveDeleted) == []
    assert await platform.all_of(BackupGarbageDeleted) == []
    assert {name.split("/")[0] for name in await names(far)} == {str(backup.id)}
    assert {name.split("/")[0] for name in await contents(near)} == {str(again.id)}


async def test_a_held_copy_stays_whatever_expired(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    async with storing(platform):
        backup, _ = await completed(platform, near, further=["far"])
        await platform.heard(ArchiveReplicated)
        await backup.held()
        about = archive_id(backup.id, "far")
        expired = ArchiveExpired(
            archive_id=about, backup_id=backup.id, store_id="far", reason="policy"
        )
        await platform.bus.append(expired, expect=Expect(0))
        other, _ = await completed(platform, near, further=["far"])
        await platform.heard(ArchiveReplicated, 2)
        assert await platform.all_of(ArchiveDeleted) == []
        await backup.released()
        await platform.heard(ArchiveDeleted)

    assert {name.split("/")[0] for name in await contents(far)} == {str(other.id)}
