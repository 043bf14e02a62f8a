"""Scrubbing: what stands is read again in every cycle, and only what changed is an event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.executor.sifting import Parent
from services.storage import scrubber, verification
from services.storage.kept import Kept, ReadModelKept
from services.storage.scrubber import Cycle
from shared.archive.chain import Chain, Link
from shared.archive.reader import open_envelope
from shared.bus.base import EVENTS
from shared.errors import UnavailableError
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveCorrupted,
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveRewrapped,
    ArchiveUndeleted,
    ArchiveVerified,
    BackupCorrupted,
    BackupDeleted,
    BackupExpired,
    BackupVerified,
)
from shared.messages.values import Problem
from shared.stores import AnyStore, Local, Store
from tests.integration.storage.test_copies import add, completed
from tests.integration.storage.test_storage import add_store, facts_of, storing
from tests.integration.storage.world import World
from tests.support.archives import RECIPIENT, TRUST, make_plan, text, write
from tests.support.s3 import BUCKET, rclone_s3
from tests.support.waiting import eventually
from tests.unit.storage.builders import Said

SOON_S = 0.5


@pytest.fixture
async def stores(platform: World, tmp_path: Path) -> tuple[Local, Local]:
    return await add(platform, tmp_path, "s1"), await add(platform, tmp_path, "far")


def data_of(store: Local, backup: Said) -> Path:
    """The dump's own object; it may be written over from now on."""
    found = Path(store.root) / f"{backup.id}/1" / "data.0"
    found.chmod(0o600)
    return found


def flipped(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


async def test_a_flipped_bit_is_found_within_a_cycle_and_what_is_mended_is_verified_again(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    async with storing(platform, scrub_cycle_s=SOON_S):
        backup, _ = await completed(platform, near, further=["far"])
        await platform.heard(BackupVerified)
        await platform.heard(ArchiveVerified)  # a copy is proven by the first scrub of its store
        whole = data_of(near, backup).read_bytes()

        data_of(near, backup).write_bytes(flipped(whole))
        data_of(far, backup).write_bytes(whole[:-1])
        (flip,) = await platform.heard(BackupCorrupted)
        (cut,) = await platform.heard(ArchiveCorrupted)

        data_of(near, backup).write_bytes(whole)
        data_of(far, backup).write_bytes(whole)
        await platform.heard(BackupVerified, 2)
        await platform.heard(ArchiveVerified, 2)

    assert (flip.problem.code, cut.problem.code) == ("archive.object_changed", "archive.truncated")
    assert (cut.backup_id, cut.store_id) == (backup.id, "far")


async def test_what_was_found_corrupt_by_its_keys_is_not_healed_by_its_hashes(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, _ = stores
    problem = Problem(code="archive.chunk_corrupt", cause="chunk 3 was changed")
    async with storing(platform, scrub_cycle_s=SOON_S):
        backup, _ = await completed(platform, near, further=[])
        await platform.heard(BackupVerified)
        await platform.bus.append(BackupCorrupted(backup_id=backup.id, problem=problem, deep=True))
        begun = {(await cycle_of(platform, "s1")).began}

        async def went_round() -> bool:
            begun.add((await cycle_of(platform, "s1")).began)
            return len(begun) >= 3

        await eventually(went_round, within=20)

    assert len(await platform.all_of(BackupVerified)) == 1
    (said,) = await platform.all_of(BackupCorrupted)
    assert said.deep


@pytest.fixture(params=["local", "s3"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[AnyStore, Path]]:
    """A store, and the folder in which its objects are files."""
    if request.param == "local":
        (tmp_path / "shelf").mkdir()
        yield Local(root=str(tmp_path / "shelf")), tmp_path / "shelf"
        return
    with rclone_s3(tmp_path / "buckets") as service:
        yield service.store(), tmp_path / "buckets" / BUCKET


async def increment(platform: World, store: AnyStore, full: Said) -> Said:
    """A backup that builds on another one, completed."""
    backup = Said(platform.bus)
    await backup.requested()
    await backup.attempted(1)
    key = await open_envelope(store, f"{full.id}/1", RECIPIENT)
    link = Link(store=store, prefix=f"{full.id}/1", archive_key=key)
    parent = Parent(await Chain.open([link], TRUST), None)
    plan = make_plan(backup_id=str(backup.id), attempt="1")
    about = msgspec.structs.replace(plan.about, type="incremental", parent=link.name)
    plan = msgspec.structs.replace(plan, about=about)
    raw = text(300_000) + b"and more of it\n" * 9_000
    await backup.completed(1, facts_of(await write(store, raw, plan, parent=parent)))
    await parent.close()
    return backup


@pytest.mark.parametrize("name", ["data.0", "envelope.1"])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
async def test_damage_of_a_full_and_of_an_increment_is_found_within_a_cycle_on_every_store(
    platform: World, shelf: tuple[AnyStore, Path], how: str, name: str
) -> None:
    store, root = shelf
    await add_store(platform, store)
    async with storing(platform, scrub_cycle_s=SOON_S):
        full, _ = await completed(platform, store, further=[])
        later = await increment(platform, store, full)
        await platform.heard(BackupVerified, 2)

        for backup in (full, later):
            path = root / f"{backup.id}/1" / name
            if how == "missing":  # by the store: an S3 service may remember what it listed
                await store.delete(f"{backup.id}/1/{name}")
            else:
                content = path.read_bytes()
                path.unlink()
                path.write_bytes(flipped(content) if how == "flipped" else content[:-1])
        found = await platform.heard(BackupCorrupted, 2)

    code = "archive.object_changed" if how == "flipped" else "archive.truncated"
    if name == "envelope.1" and how != "missing":
        code = "archive.envelope_tampered"
    assert {(one.backup_id, one.problem.code) for one in found} == {
        (full.id, code),
        (later.id, code),
    }


async def test_a_missing_object_of_a_copy_is_found_and_the_backup_itself_stays_good(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, far = stores
    async with storing(platform, scrub_cycle_s=SOON_S):
        backup, _ = await completed(platform, near, further=["far"])
        await platform.heard(ArchiveVerified)
        data_of(far, backup).unlink()
        await platform.heard(ArchiveCorrupted)

    assert await platform.all_of(BackupCorrupted) == []


@pytest.mark.parametrize("since", ["sealed anew", "kept again", "outlives the first archive"])
async def test_a_copy_is_watched_whatever_was_said_of_it_or_of_the_backup_since(
    platform: World, stores: tuple[Local, Local], since: str
) -> None:
    near, far = stores
    async with storing(platform, scrub_cycle_s=SOON_S):
        backup, _ = await completed(platform, near, further=["far"])
        (copied,) = await platform.heard(ArchiveReplicated)
        await platform.heard(ArchiveVerified)
        about: dict[str, Any] = {
            "archive_id": copied.archive_id,
            "backup_id": backup.id,
            "store_id": "far",
        }
        if since == "sealed anew":
            envelope = {"prefix": copied.prefix, "envelope": 1, "recipients": copied.recipients}
            await platform.bus.append(ArchiveRewrapped(**about, **envelope))
        elif since == "kept again":
            later = now() + timedelta(hours=1)
            await platform.bus.append(ArchiveExpired(**about, reason="cut", delete_after=later))
            await platform.bus.append(ArchiveUndeleted(**about, reason="kept again"))
        else:
            await platform.bus.append(BackupExpired(backup_id=backup.id, reason="a policy"))
            await platform.heard(BackupDeleted)
        data_of(far, backup).unlink()
        (missing,) = await platform.heard(ArchiveCorrupted)

    assert (missing.backup_id, missing.store_id) == (backup.id, "far")


async def test_objects_of_another_backup_and_an_older_archive_played_again_are_found(
    platform: World, stores: tuple[Local, Local]
) -> None:
    """Abuse case 33: everything written is genuine, signed even, but stands in the wrong place."""
    near, _ = stores
    async with storing(platform, scrub_cycle_s=SOON_S):
        older, _ = await completed(platform, near, further=[])
        swapped, _ = await completed(platform, near, further=[])
        replayed, _ = await completed(platform, near, further=[])
        await platform.heard(BackupVerified, 3)

        data_of(near, swapped).write_bytes(data_of(near, older).read_bytes())
        for whole in (Path(near.root) / f"{older.id}/1").iterdir():
            place = Path(near.root) / f"{replayed.id}/1" / whole.name
            place.chmod(0o600)
            place.write_bytes(whole.read_bytes())
        found = await platform.heard(BackupCorrupted, 2)

    assert {one.backup_id for one in found} == {swapped.id, replayed.id}
    assert {one.problem.code for one in found} == {"archive.object_changed"}


async def test_clean_cycles_append_nothing(platform: World, stores: tuple[Local, Local]) -> None:
    near, _ = stores
    async with storing(platform, scrub_cycle_s=SOON_S):
        await completed(platform, near, further=["far"])
        await platform.heard(ArchiveVerified)
        before = (await platform.bus.state(EVENTS)).last_seq
        begun = {(await cycle_of(platform, "s1")).began}

        async def went_round() -> bool:
            begun.add((await cycle_of(platform, "s1")).began)
            return len(begun) >= 3

        await eventually(went_round, within=20)

    assert (await platform.bus.state(EVENTS)).last_seq == before


async def test_a_cycle_goes_on_where_it_was_when_storage_comes_back(
    platform: World, stores: tuple[Local, Local]
) -> None:
    near, _ = stores
    async with storing(platform):
        first, _ = await completed(platform, near, further=[])
        second, _ = await completed(platform, near, further=[])
        await platform.heard(BackupVerified, 2)
    for backup in (first, second):
        data_of(near, backup).write_bytes(flipped(data_of(near, backup).read_bytes()))

    async def both() -> Sequence[Kept]:
        found = await ReadModelKept(platform.model).after("s1", None, 2)
        assert len(found) == 2
        return found

    read, _ = await eventually(both)
    cut_short = Cycle(began=now(), after=read.place)
    await platform.bus.kv("scrubs").put("s1", msgspec.json.encode(cut_short))

    async with storing(platform):
        (found,) = await platform.heard(BackupCorrupted)
        await eventually(lambda: cycle_is_over(platform, "s1"))

    assert found.backup_id == second.id
    assert [one.backup_id for one in await platform.all_of(BackupCorrupted)] == [second.id]


async def cycle_of(platform: World, store_id: str) -> Cycle:
    entry = await platform.bus.kv("scrubs").get(store_id)
    assert entry is not None
    assert entry.value is not None
    return msgspec.json.decode(entry.value, type=Cycle)


async def cycle_is_over(platform: World, store_id: str) -> bool:
    return (await cycle_of(platform, store_id)).over


async def test_an_archive_that_cannot_be_read_for_now_holds_up_no_other(
    platform: World, stores: tuple[Local, Local], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, _ = stores
    first, _ = await completed(platform, near, further=[])
    async with storing(platform):
        await platform.heard(BackupVerified)
        second, _ = await completed(platform, near, further=[])
        await platform.heard(BackupVerified, 2)
    data_of(near, second).write_bytes(b"x")

    async def read(store: Store, folder: str, *others: Any) -> int:
        if folder.startswith(str(first.id)):
            raise UnavailableError("one object answers 503, again and again")
        return await verification.read_again(store, folder, *others)

    monkeypatch.setattr(scrubber, "read_again", read)
    async with storing(platform, scrub_cycle_s=SOON_S):
        (found,) = await platform.heard(BackupCorrupted)

    assert found.backup_id == second.id
