"""Old envelopes: deleted once a newer one is proven, found again after a kill, and no others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.storage.envelopes import Envelopes
from services.storage.opening import Desk
from services.storage.scan import listed
from shared.bus.memory import MemoryBus
from shared.messages.facts import ArchiveRewrapped, BackupRewrapped
from shared.messages.facts.archives import archive_id
from shared.stores import Local, Store
from tests.support.archives import local


class Cellar:
    """A store with envelopes, and the facts about them."""

    def __init__(self, root: Path) -> None:
        self.bus, self.store = MemoryBus(), local(root)
        self.root = Path(self.store.root)
        desk = Desk(self.bus, self, self._standing, "cellar", "replica")
        self.envelopes = Envelopes(self.bus, desk)

    async def open(self, store_id: str) -> Store | None:
        return self.store

    async def _standing(self, store_id: str) -> set[UUID]:
        return set()

    def put(self, backup_id: UUID, *numbers: int, attempt: int = 1) -> Path:
        folder = self.root / str(backup_id) / str(attempt)
        folder.mkdir(parents=True)
        for name in ("data.0", "manifest", *(f"envelope.{number}" for number in numbers)):
            (folder / name).write_bytes(b"x")
        return folder

    async def compare(self) -> None:
        listing = await listed(self.store)
        await self.envelopes.compare(self.store, listing.several)


@pytest.fixture
def cellar(tmp_path: Path) -> Cellar:
    return Cellar(tmp_path / "cellar")


def rewrapped(backup_id: UUID, envelope: int, **other: Any) -> BackupRewrapped:
    fields = {"store_id": "cellar", "prefix": f"{backup_id}/1", "recipients": ["k"]} | other
    return BackupRewrapped(backup_id=backup_id, envelope=envelope, **fields)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_older_envelopes_go_and_nothing_else(cellar: Cellar) -> None:
    backup_id, other = uuid4(), uuid4()
    folder, beside = cellar.put(backup_id, 1, 2, 10, 11), cellar.put(other, 1, 2)

    cellar.envelopes.hear(rewrapped(backup_id, 10))
    await cellar.envelopes.tidy(0)

    assert names(folder) == ["data.0", "envelope.10", "envelope.11", "manifest"]
    assert names(beside) == ["data.0", "envelope.1", "envelope.2", "manifest"]


async def test_nothing_goes_while_the_newer_one_is_not_there(cellar: Cellar) -> None:
    backup_id = uuid4()
    folder = cellar.put(backup_id, 1)

    cellar.envelopes.hear(rewrapped(backup_id, 2))
    await cellar.envelopes.tidy(0)

    assert "envelope.1" in names(folder)


async def test_a_fact_about_another_folder_than_its_own_deletes_nothing(cellar: Cellar) -> None:
    backup_id, victim = uuid4(), uuid4()
    folder = cellar.put(victim, 1, 2)

    for prefix in (f"{victim}/1", f"{backup_id}/../{victim}/1", "", "envelope"):
        cellar.envelopes.hear(rewrapped(backup_id, 2, prefix=prefix))
        await cellar.envelopes.tidy(0)

    assert names(folder) == ["data.0", "envelope.1", "envelope.2", "manifest"]


async def test_what_was_not_heard_of_is_found_by_comparing_the_store_with_the_log(
    cellar: Cellar,
) -> None:
    own, copied, unknown = uuid4(), uuid4(), uuid4()
    folders = [cellar.put(one, 1, 2) for one in (own, copied, unknown)]
    await cellar.bus.append(rewrapped(own, 2))
    await cellar.bus.append(
        ArchiveRewrapped(
            archive_id=archive_id(copied, "cellar"),
            backup_id=copied,
            store_id="cellar",
            prefix=f"{copied}/1",
            envelope=2,
            recipients=["k"],
        )
    )

    await cellar.compare()

    assert ["envelope.1" in names(folder) for folder in folders] == [False, False, True]


async def test_the_word_about_another_store_counts_nothing_here(cellar: Cellar) -> None:
    backup_id = uuid4()
    folder = cellar.put(backup_id, 1, 2)
    await cellar.bus.append(rewrapped(backup_id, 2, store_id="attic"))

    await cellar.compare()

    assert "envelope.1" in names(folder)


async def test_an_envelope_that_the_store_keeps_stays_and_stops_nothing(
    cellar: Cellar, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.stores.base import StoreError

    backup_id = uuid4()
    folder = cellar.put(backup_id, 1, 2, 3)
    delete = Local.delete

    async def locked(self: Local, key: str) -> None:
        if key.endswith(".1"):
            raise StoreError("the object is locked")
        await delete(self, key)

    monkeypatch.setattr(Local, "delete", locked)
    cellar.envelopes.hear(rewrapped(backup_id, 3))
    await cellar.envelopes.tidy(0)

    assert names(folder) == ["data.0", "envelope.1", "envelope.3", "manifest"]


async def test_what_a_killed_scheduler_left_half_written_goes_too(cellar: Cellar) -> None:
    backup_id = uuid4()
    folder = cellar.put(backup_id, 1, 3)

    async def cut_off() -> AsyncIterator[bytes]:
        yield b"x"
        half.extend(path.name for path in folder.iterdir() if path.name not in whole)
        raise RuntimeError("killed")

    half: list[str] = []
    whole = set(names(folder))
    with suppress(RuntimeError):
        await cellar.store.put(f"{backup_id}/1/envelope.2", cut_off())
    (folder / half[0]).write_bytes(b"x")  # a kill leaves what an error would have removed

    cellar.envelopes.hear(rewrapped(backup_id, 3))
    await cellar.envelopes.tidy(0)

    assert names(folder) == ["data.0", "envelope.3", "manifest"]
