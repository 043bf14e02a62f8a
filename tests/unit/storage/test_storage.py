"""The storage service on the memory bus, with real local stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from services.storage.ledger import Ledger
from services.storage.opening import Desk
from services.storage.prover import Prover
from services.storage.service import Storage
from services.storage.settings import Settings
from shared import trace
from shared.bus.memory import MemoryBus, MemoryServer
from shared.messages.base import now
from shared.messages.facts import (
    BackupCorrupted,
    BackupDeleted,
    BackupGarbageDeleted,
    BackupVerified,
)
from shared.messages.facts.backups import BackupFact
from shared.plugins import announced
from shared.stores.base import ObjectInfo, StoreUnreachableError
from shared.stores.local import Local
from shared.stores.marker import MARKERS
from tests.support.waiting import eventually
from tests.unit.storage.builders import (
    Folded,
    NoCopies,
    NothingKept,
    NoTiers,
    OneStore,
    Said,
    local,
    names,
    put,
    say_store,
    write_archive,
)

Kind = TypeVar("Kind", bound=BackupFact)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus(MemoryServer())


@pytest.fixture
async def store(bus: MemoryBus, tmp_path: Path) -> Local:
    await say_store(bus, str(tmp_path))
    return local(tmp_path)


@asynccontextmanager
async def storing(
    bus: MemoryBus,
    stores: OneStore,
    *,
    second_look_s: float = 3600.0,
    look_every_s: float = 0.1,
    scan_every_s: float = 3600.0,
    checkpoint: int | None = None,
) -> AsyncIterator[Folded]:
    """A storage service at work; it ends with the block, as by kill -9."""
    settings = Settings(
        database_url="",
        encryption_key="",
        second_look_s=second_look_s,
        look_every_s=look_every_s,
        scan_every_s=scan_every_s,
    )
    catalogue = Folded(bus)
    catalogue.checkpoint = checkpoint
    storage = Storage(
        bus,
        catalogue,
        NoCopies(),
        stores,
        settings,
        kept=NothingKept(),
        tiers=NoTiers(),
        replica="r1",
    )
    working = asyncio.create_task(storage.listen())
    try:
        yield catalogue
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def all_of(bus: MemoryBus, kind: type[Kind]) -> list[Kind]:
    messages = [one.message for one in bus.server.stream("EVENTS").messages]
    return [one for one in messages if isinstance(one, kind)]


async def heard(bus: MemoryBus, kind: type[Kind], count: int = 1) -> list[Kind]:
    await eventually(lambda: len(all_of(bus, kind)) >= count)
    return all_of(bus, kind)


async def test_a_completed_backup_is_read_again_and_verified(bus: MemoryBus, store: Local) -> None:
    backup = Said(bus)
    async with storing(bus, OneStore(store)):
        await backup.requested()
        await backup.attempted(1)
        archive = await write_archive(store, backup.id, 1)
        await backup.completed(1, archive)
        (verified,) = await heard(bus, BackupVerified)

    envelope = next(one for one in archive.objects if one.name == "envelope.1")
    assert verified.backup_id == backup.id
    assert verified.bytes_read == archive.stored_bytes - envelope.size_bytes


async def test_what_storage_does_with_a_backup_goes_on_with_the_trace_that_asked_for_it(
    bus: MemoryBus, store: Local
) -> None:
    """Lanes find their work in the read model; the trace stands with the fact that caused it."""
    backup, made, ended = Said(bus), trace.begun(), trace.begun()
    steps: list[trace.Step] = []
    with trace.told(steps.append):
        async with storing(bus, OneStore(store)):
            with trace.within(made, lambda: "make"):
                await backup.requested()
                await backup.attempted(1)
                await backup.completed(1, await write_archive(store, backup.id, 1))
            await heard(bus, BackupVerified)
            with trace.within(ended, lambda: "ask for its end"):
                await backup.delete_requested()
            await heard(bus, BackupDeleted)

    def carried(kind: type[BackupFact]) -> str:
        (found,) = [
            one for one in bus.server.stream("EVENTS").messages if isinstance(one.message, kind)
        ]
        return found.headers[trace.HEADER][3:35]

    assert carried(BackupVerified) == made.trace_id
    assert carried(BackupDeleted) == ended.trace_id
    told = {(one.name, one.trace.trace_id, one.trace.parent_id) for one in steps}
    assert ("read again", made.trace_id, made.span_id) in told
    assert ("delete", ended.trace_id, ended.span_id) in told


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("data.0", b"\x88HFB" + b"\x89HFB" * 4999, "archive.object_changed"),
        ("data.0", b"\x89HFB" * 4999, "archive.truncated"),
        ("index", None, "archive.truncated"),
        ("manifest", b"{}", "archive.object_changed"),
        ("manifest", None, "archive.truncated"),
        ("envelope.1", None, "archive.truncated"),
    ],
)
async def test_damage_in_the_store_makes_the_backup_corrupted(
    bus: MemoryBus, store: Local, name: str, content: bytes | None, code: str
) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    archive = await write_archive(store, backup.id, 1)
    await store.delete(f"{backup.id}/1/{name}")
    if content is not None:
        await put(store, f"{backup.id}/1/{name}", content)
    await backup.completed(1, archive)

    async with storing(bus, OneStore(store)):
        (corrupted,) = await heard(bus, BackupCorrupted)

    assert corrupted.problem.code == code
    assert not all_of(bus, BackupVerified)


async def test_a_store_that_is_away_makes_nothing_corrupted(bus: MemoryBus, store: Local) -> None:
    backup, stores = Said(bus), OneStore(store)
    await backup.requested()
    await backup.attempted(1)
    await backup.completed(1, await write_archive(store, backup.id, 1))
    stores.down = StoreUnreachableError("the store does not answer")

    async with storing(bus, stores):
        await asyncio.sleep(0.3)
        assert not all_of(bus, BackupCorrupted)
        stores.down = None
        await heard(bus, BackupVerified)


async def test_a_superseded_attempt_is_cleared_while_the_next_one_works(
    bus: MemoryBus, store: Local
) -> None:
    backup = Said(bus)
    async with storing(bus, OneStore(store)):
        await backup.requested()
        await backup.attempted(1)
        freed = await put(store, f"{backup.id}/1/data.0", b"x" * 1000)
        await put(store, f"{backup.id}/2/data.0", b"living")
        await backup.attempted(2)
        (cleared,) = await heard(bus, BackupGarbageDeleted)
        await asyncio.sleep(0.2)

    assert (cleared.attempt, cleared.freed_bytes) == (1, freed)
    assert await names(store) == {f"{backup.id}/2/data.0"}
    assert len(all_of(bus, BackupGarbageDeleted)) == 1


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
async def test_what_a_failed_run_left_is_cleared_with_its_unfinished_files(
    bus: MemoryBus, store: Local, tmp_path: Path, ending: str
) -> None:
    backup = Said(bus)
    await backup.requested()
    for number in (1, 2):
        await backup.attempted(number)
        await write_archive(store, backup.id, number)
    unfinished = tmp_path / str(backup.id) / "2" / ".data.1.abc.part"
    unfinished.write_bytes(b"half")
    await getattr(backup, ending)(2)

    async with storing(bus, OneStore(store)):
        cleared = await heard(bus, BackupGarbageDeleted, 2)

    assert {one.attempt for one in cleared} == {1, 2}
    assert await names(store) == set()
    assert not unfinished.exists()


async def test_a_late_writers_objects_are_found_by_the_second_look(
    bus: MemoryBus, store: Local
) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    await backup.attempted(2)
    await backup.completed(2, await write_archive(store, backup.id, 2))
    standing = await names(store)

    async with storing(bus, OneStore(store), second_look_s=1.0):
        await heard(bus, BackupGarbageDeleted)
        late = await put(store, f"{backup.id}/1/data.0", b"from a paused loser")
        cleared = await heard(bus, BackupGarbageDeleted, 2)
        await asyncio.sleep(0.3)

    assert cleared[1].freed_bytes == late
    assert await names(store) == standing
    assert len(all_of(bus, BackupGarbageDeleted)) == 2


@pytest.mark.parametrize("wish", ["expired", "delete_requested"])
async def test_an_unwanted_backup_is_deleted_and_its_bytes_are_counted(
    bus: MemoryBus, store: Local, wish: str
) -> None:
    backup, other = Said(bus), Said(bus)
    for one in (backup, other):
        await one.requested()
        await one.attempted(1)
        await one.completed(1, archive := await write_archive(store, one.id, 1))
    kept = await names(store, str(other.id))

    async with storing(bus, OneStore(store)):
        await heard(bus, BackupVerified, 2)
        await getattr(backup, wish)()
        (deleted,) = await heard(bus, BackupDeleted)
        await asyncio.sleep(0.2)

    assert deleted.backup_id == backup.id
    assert deleted.freed_bytes == archive.stored_bytes
    assert await names(store) == kept
    assert len(all_of(bus, BackupDeleted)) == 1


async def test_a_deletion_that_was_cut_short_counts_every_byte_once(
    bus: MemoryBus, store: Local
) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    archive = await write_archive(store, backup.id, 1)
    await backup.completed(1, archive)
    await backup.expired()
    for name in ("manifest", "data.0"):  # a storage service died here
        await store.delete(f"{backup.id}/1/{name}")

    async with storing(bus, OneStore(store)):
        (deleted,) = await heard(bus, BackupDeleted)

    assert deleted.freed_bytes == archive.stored_bytes
    assert await names(store) == set()


async def test_a_deletion_that_somebody_wants_waits_for_the_audit_log(
    bus: MemoryBus, store: Local
) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    await backup.completed(1, await write_archive(store, backup.id, 1))
    standing = await names(store)
    await backup.delete_requested()
    wanted_at = (await bus.state("EVENTS")).last_seq

    async with storing(bus, OneStore(store), checkpoint=wanted_at - 1) as catalogue:
        await asyncio.sleep(0.4)
        assert await names(store) == standing
        assert not all_of(bus, BackupDeleted)
        catalogue.checkpoint = wanted_at
        await heard(bus, BackupDeleted)


@pytest.mark.parametrize("wish", ["expired", "delete_requested"])
async def test_a_held_backup_is_deleted_only_after_its_release(
    bus: MemoryBus, store: Local, wish: str
) -> None:
    held, other = Said(bus), Said(bus)
    for one in (held, other):
        await one.requested()
        await one.attempted(1)
        await one.completed(1, await write_archive(store, one.id, 1))
    standing = await names(store, str(held.id))
    await held.held()
    for one in (held, other):
        await getattr(one, wish)()

    async with storing(bus, OneStore(store)):
        await heard(bus, BackupDeleted)  # of the other one, after it looked at both
        assert await names(store) == standing
        await held.released()
        await heard(bus, BackupDeleted, 2)

    assert await names(store) == set()


async def test_a_hold_that_is_over_keeps_nothing_from_being_deleted(
    bus: MemoryBus, store: Local
) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    await backup.completed(1, await write_archive(store, backup.id, 1))
    await backup.held(until=now() - timedelta(seconds=1))
    await backup.expired()

    async with storing(bus, OneStore(store)):
        await heard(bus, BackupDeleted)


async def test_a_folder_where_the_store_is_not_mounted_is_not_judged_nor_deleted_from(
    bus: MemoryBus, store: Local, tmp_path: Path
) -> None:
    async with storing(bus, OneStore(store)):
        await eventually((tmp_path / MARKERS / "s1").exists)
    proven, unwanted, failed = Said(bus), Said(bus), Said(bus)
    for one in (proven, unwanted, failed):
        await one.requested()
        await one.attempted(1)
        archive = await write_archive(store, one.id, 1)
        await (one.failed(1) if one is failed else one.completed(1, archive))
    await unwanted.expired()
    mounted, away = tmp_path.with_name("mounted"), tmp_path
    away.rename(mounted)
    away.mkdir()

    async with storing(bus, OneStore(store)):
        await asyncio.sleep(0.5)
        for kind in (BackupCorrupted, BackupVerified, BackupDeleted, BackupGarbageDeleted):
            assert not all_of(bus, kind)
        assert not [*away.rglob("*")]
        away.rmdir()
        mounted.rename(away)
        await heard(bus, BackupVerified)
        await heard(bus, BackupDeleted)
        await heard(bus, BackupGarbageDeleted)

    assert {key.partition("/")[0] for key in await names(store)} == {str(proven.id)}


async def test_a_corrupted_backup_that_reads_well_again_is_verified_after_all(
    bus: MemoryBus, store: Local
) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    await backup.completed(1, await write_archive(store, backup.id, 1))
    data = Path(store.root, str(backup.id), "1", "data.0")
    content = data.read_bytes()
    data.write_bytes(content[:-1] + b"?")

    async with storing(bus, OneStore(store), scan_every_s=0.2):
        await heard(bus, BackupCorrupted)
        data.write_bytes(content)
        await heard(bus, BackupVerified)

    assert len(all_of(bus, BackupCorrupted)) == 1


async def test_a_failed_backup_can_be_deleted_too(bus: MemoryBus, store: Local) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    await backup.failed(1)
    await backup.delete_requested()

    async with storing(bus, OneStore(store)):
        (deleted,) = await heard(bus, BackupDeleted)

    assert deleted.freed_bytes == 0


async def test_a_scan_deletes_known_garbage_and_leaves_what_it_does_not_know(
    bus: MemoryBus, store: Local
) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    await backup.attempted(2)
    await backup.completed(2, await write_archive(store, backup.id, 2))
    strangers = {f"{uuid4()}/1/data.0", "somebody/elses.file", f"{backup.id}/9/data.0"}
    for key in strangers:
        await put(store, key, b"not ours")
    standing = await names(store)
    async with storing(bus, OneStore(store)):
        await heard(bus, BackupGarbageDeleted)
    await put(store, f"{backup.id}/1/data.0", b"written after every look")

    async with storing(bus, OneStore(store)):  # a start scans
        await heard(bus, BackupGarbageDeleted, 2)

    assert await names(store) == standing


async def test_nothing_is_said_when_everything_is_done(bus: MemoryBus, store: Local) -> None:
    backup = Said(bus)
    await backup.requested()
    await backup.attempted(1)
    await backup.completed(1, await write_archive(store, backup.id, 1))
    async with storing(bus, OneStore(store)):
        await heard(bus, BackupVerified)
    last_seq = (await bus.state("EVENTS")).last_seq

    async with storing(bus, OneStore(store)):
        await asyncio.sleep(0.5)

    assert (await bus.state("EVENTS")).last_seq == last_seq


async def test_a_store_that_hangs_holds_up_no_other(bus: MemoryBus, tmp_path: Path) -> None:
    class Two:
        async def open(self, store_id: str) -> Local:
            if store_id == "hanging":
                await asyncio.Event().wait()
            return local(tmp_path)

    for store_id in ("hanging", "fine"):
        await say_store(bus, str(tmp_path), store_id)
    waiting, backup = Said(bus, "hanging"), Said(bus, "fine")
    async with storing(bus, Two()):  # type: ignore[arg-type]  # it opens stores as well
        for one in (waiting, backup):
            await one.requested()
            await one.attempted(1)
            await one.completed(1, await write_archive(local(tmp_path), one.id, 1))
        (verified,) = await heard(bus, BackupVerified)

    assert verified.backup_id == backup.id


async def test_the_stores_schemas_are_announced(bus: MemoryBus, store: Local) -> None:
    async with storing(bus, OneStore(store)):
        await eventually(lambda: announced(bus, "store"))

    assert {"local", "s3"} <= set(await announced(bus, "store"))


BACKUP: list[Said] = []


class Vanishing(Local, tag="vanishing"):
    """A store whose backup expires, and is deleted, while its manifest is read."""

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        if prefix and await self.size(f"{prefix}/manifest"):
            await BACKUP[0].expired()
            await self.delete(f"{prefix}/index")
        async for info in super().list(prefix):
            yield info


async def test_a_backup_that_is_deleted_while_it_is_read_is_not_corrupted(
    bus: MemoryBus, store: Local
) -> None:
    backup = Said(bus)
    BACKUP[:] = [backup]
    await backup.requested()
    await backup.attempted(1)
    await backup.completed(1, await write_archive(store, backup.id, 1))
    catalogue = Folded(bus)
    desk = Desk(bus, OneStore(Vanishing(root=store.root)), catalogue.standing, "s1", "r1")

    await Prover(desk, catalogue, Ledger(bus, catalogue)).prove(0)

    assert not all_of(bus, BackupCorrupted)
    assert not all_of(bus, BackupVerified)
    assert f"{backup.id}/1/index" not in await names(store)
