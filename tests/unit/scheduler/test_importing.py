"""Imports: backups of another installation, believed only if the one we named has signed them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.executor.plan import ArchivePlan
from services.scheduler.importing import Imports
from services.scheduler.orders import ACTOR
from shared.archive.index import ArchiveName
from shared.archive.keys import RecipientKey, SigningKey, fingerprint
from shared.bus import Delivery
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.messages.facts import BackupImported, StoreImported, StoreImportRequested
from shared.messages.values import BackupType
from shared.stores import Local, Store
from tests.support.archives import (
    PLATFORM,
    RECIPIENT,
    RECOVERY,
    local,
    make_plan,
    text,
    write,
)

TRUSTED = fingerprint(PLATFORM.public)
DATABASE = uuid4()


class Shop:
    """A store with archives of another installation, and an empty log."""

    def __init__(self, store: Local) -> None:
        self.bus, self.store, self.root = MemoryBus(), store, Path(store.root)
        self.woken = 0

    async def open(self, store_id: str) -> Store:
        assert store_id == "cellar"
        return self.store

    async def archived(self, attempt: int = 1, backup_id: UUID | None = None) -> UUID:
        backup_id = backup_id or uuid4()
        await write(self.store, text(5000), self.plan(backup_id, attempt))
        return backup_id

    def plan(self, backup_id: UUID, attempt: int = 1, **about: Any) -> ArchivePlan:
        described = msgspec.structs.replace(make_plan().about, database_id=str(DATABASE), **about)
        return make_plan(
            backup_id=str(backup_id), attempt=str(attempt), database="orders", about=described
        )

    async def imported(
        self, trusted: str = TRUSTED, keys: tuple[RecipientKey, ...] = (RECOVERY,)
    ) -> StoreImported:
        asked = StoreImportRequested(store_id="cellar", trusted=trusted)
        await self.bus.append(asked)
        imports = Imports(self.bus, self, keys, self._wake)
        await imports.on_requested(self.said()[-1])
        outcome = self.said()[-1].message
        assert isinstance(outcome, StoreImported)
        return outcome

    def _wake(self) -> None:
        self.woken += 1

    def said(self) -> list[Delivery]:
        return self.bus.server.stream(EVENTS).messages

    def backups(self) -> list[BackupImported]:
        facts = [one.message for one in self.said()]
        return [fact for fact in facts if isinstance(fact, BackupImported)]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(local(tmp_path / "cellar"))


async def test_a_backup_is_known_again_with_what_its_archive_says(shop: Shop) -> None:
    backup_id = await shop.archived(attempt=3)

    outcome = await shop.imported()

    (fact,) = shop.backups()
    assert (outcome.imported, outcome.known, outcome.refusals) == (1, 0, 0)
    assert (fact.backup_id, fact.attempt, fact.prefix) == (backup_id, 3, f"{backup_id}/3")
    assert (fact.signed_by, fact.store_id) == (TRUSTED, "cellar")
    assert (fact.database_id, fact.database_name) == (DATABASE, "orders")
    assert (fact.archive.raw_bytes, fact.archive.codec) == (5000, "zstd")
    assert fact.archive.recipients == [RECIPIENT.public.id, RECOVERY.public.id]
    stored = sum(path.stat().st_size for path in (shop.root / fact.prefix).iterdir())
    assert fact.archive.stored_bytes == stored
    assert shop.woken == 1


async def test_without_a_key_that_opens_it_only_the_manifest_speaks(shop: Shop) -> None:
    await shop.archived()

    await shop.imported(keys=(RecipientKey.generate(),))

    (fact,) = shop.backups()
    assert (fact.database_name, fact.archive.raw_bytes) == (str(DATABASE), 0)


async def test_what_the_trusted_platform_did_not_sign_is_refused_and_named(shop: Shop) -> None:
    """Abuse case 33: an object of a stranger is not believed because it lies in our store."""
    backup_id = await shop.archived()

    outcome = await shop.imported(trusted=fingerprint(SigningKey.generate().public))

    assert shop.backups() == []
    assert (outcome.imported, outcome.refusals) == (0, 1)
    (refused,) = outcome.refused
    assert (refused.prefix, refused.code) == (f"{backup_id}/1", "archive.untrusted")


async def test_a_manifest_under_another_backups_name_is_refused(shop: Shop) -> None:
    backup_id, other = await shop.archived(), uuid4()
    shutil.copytree(shop.root / str(backup_id), shop.root / str(other))

    outcome = await shop.imported()

    assert [fact.backup_id for fact in shop.backups()] == [backup_id]
    assert [one.code for one in outcome.refused] == ["archive.untrusted"]


async def test_the_newest_attempt_that_verifies_is_taken(shop: Shop) -> None:
    backup_id = await shop.archived(attempt=1)
    await shop.archived(attempt=2, backup_id=backup_id)
    await shop.archived(attempt=10, backup_id=backup_id)
    damaged = shop.root / str(backup_id) / "10" / "data.0"
    stored = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))

    outcome = await shop.imported()

    assert [fact.attempt for fact in shop.backups()] == [2]
    assert [one.prefix for one in outcome.refused] == [f"{backup_id}/10"]


async def test_a_cut_archive_is_not_imported(shop: Shop) -> None:
    backup_id = await shop.archived()
    index = shop.root / str(backup_id) / "1" / "index"
    stored = index.read_bytes()
    index.unlink()
    index.write_bytes(stored[:-1])

    outcome = await shop.imported()

    assert (shop.backups(), [one.code for one in outcome.refused]) == ([], ["archive.truncated"])


async def test_a_chain_comes_back_with_its_parents(shop: Shop) -> None:
    full, increment = sorted((uuid4(), uuid4()))
    await write(shop.store, text(5000), shop.plan(full))
    parent = ArchiveName(str(full), "1")
    await write(
        shop.store,
        text(9),
        shop.plan(increment, type="incremental", chain=str(full), parent=parent),
    )

    await shop.imported()

    found = {fact.backup_id: fact for fact in shop.backups()}
    assert (found[increment].parent_id, found[increment].chain_id) == (full, full)
    assert found[increment].type_found is BackupType.INCREMENTAL
    assert (found[full].parent_id, found[full].chain_id) == (None, full)


async def test_a_second_import_finds_all_known_and_an_interrupted_one_goes_on(shop: Shop) -> None:
    for _ in range(3):
        await shop.archived()
    asked = StoreImportRequested(store_id="cellar", trusted=TRUSTED)
    await shop.bus.append(asked)
    delivery, imports = shop.said()[-1], Imports(shop.bus, shop, (RECOVERY,), lambda: None)

    await imports.on_requested(delivery)
    await imports.on_requested(delivery)

    outcomes = [one.message for one in shop.said() if isinstance(one.message, StoreImported)]
    assert [(one.imported, one.known) for one in outcomes] == [(3, 0)]
    assert (await shop.imported()).known == 3
    assert {fact.actor for fact in outcomes} == {ACTOR}
