"""A copy that is to go, and what others say of it at that very moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.storage.copier import Copier
from services.storage.copies import Standing
from services.storage.ledger import Ledger
from services.storage.opening import Desk
from shared.bus import Delivery, Expect
from shared.bus.base import EVENTS, Appended
from shared.bus.memory import MemoryBus, MemoryServer
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveDeleted,
    ArchiveDeletionBegun,
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveUndeleted,
)
from shared.messages.facts.archives import archive_id
from shared.stores.local import Local
from tests.unit.storage.builders import Folded, NoCopies, OneStore, Said, names, put, say_store

Meanwhile = Callable[[], Awaitable[object]]


class Beside(MemoryBus):
    """A connection beside which others speak, once: `meanwhile`, after the copy was looked at, and
    `just_before` it is said that its deletion begins."""

    meanwhile: Meanwhile | None = None
    just_before: Meanwhile | None = None

    async def last_of(self, subject: str) -> list[Delivery]:
        found = await super().last_of(subject)
        if subject.startswith("evt.archive.") and self.meanwhile is not None:
            speak, self.meanwhile = self.meanwhile, None
            await speak()
        return found

    async def append(self, message: Any, *, expect: Expect | None = None) -> Appended:
        if isinstance(message, ArchiveDeletionBegun) and self.just_before is not None:
            speak, self.just_before = self.just_before, None
            await speak()
        return await super().append(message, expect=expect)


class OneLeft(NoCopies):
    """One copy that expired."""

    def __init__(self, copy: Standing) -> None:
        self._copy = copy

    async def unwanted(self, store_id: str) -> list[Standing]:
        return [self._copy]


class Leaving:
    """A copy in the store `far`, said to have expired, and whoever removes it."""

    def __init__(self, root: Path) -> None:
        server = MemoryServer()
        self.others, self.bus = MemoryBus(server), Beside(server)
        self.store, self.backup_id = Local(root=str(root)), uuid4()
        self.about: dict[str, Any] = {
            "archive_id": archive_id(self.backup_id, "far"),
            "backup_id": self.backup_id,
            "store_id": "far",
        }
        self.folder = f"{self.backup_id}/1"

    async def begin(self) -> None:
        await say_store(self.others, self.store.root, "far")
        await put(self.store, f"{self.folder}/data.0", b"dump")
        copied = {"prefix": self.folder, "stored_bytes": 4, "seconds": 0.1}
        await self.others.append(ArchiveReplicated(**self.about, **copied))
        await self.expires(now() - timedelta(hours=1))

    async def expires(self, delete_after: Any) -> None:
        fact = ArchiveExpired(**self.about, reason="policy", delete_after=delete_after)
        await self.others.append(fact)

    async def remove(self) -> None:
        catalogue = Folded(self.others)
        copy = Standing(
            archive_id=archive_id(self.backup_id, "far"),
            backup_id=self.backup_id,
            folder=self.folder,
            wish=False,
        )
        stores = OneStore(self.store, "far")
        desk = Desk(self.bus, stores, _nobody, "far", "r1")
        ledger = Ledger(self.bus, catalogue)
        await Copier(self.bus, desk, stores, catalogue, OneLeft(copy), ledger).keep(0)

    def said(self, kind: type) -> int:
        messages = [one.message for one in self.others.server.stream(EVENTS).messages]
        return sum(isinstance(one, kind) for one in messages)


async def _nobody(_store_id: str) -> set[UUID]:
    return set()


@pytest.fixture
async def leaving(tmp_path: Path) -> Leaving:
    made = Leaving(tmp_path)
    await made.begin()
    return made


async def test_what_expired_goes(leaving: Leaving) -> None:
    await leaving.remove()

    assert (leaving.said(ArchiveDeletionBegun), leaving.said(ArchiveDeleted)) == (1, 1)
    assert await names(leaving.store) == set()


async def test_a_copy_that_is_kept_again_at_this_moment_stays(leaving: Leaving) -> None:
    async def kept() -> None:
        await leaving.others.append(ArchiveUndeleted(**leaving.about, reason="kept again"))

    leaving.bus.meanwhile = kept
    await leaving.remove()

    assert (leaving.said(ArchiveDeletionBegun), leaving.said(ArchiveDeleted)) == (0, 0)
    assert await names(leaving.store) == {f"{leaving.folder}/data.0"}


async def test_a_copy_under_a_hold_of_this_moment_stays(leaving: Leaving) -> None:
    leaving.bus.meanwhile = Said(leaving.others, backup_id=leaving.backup_id).held
    await leaving.remove()

    assert (leaving.said(ArchiveDeletionBegun), leaving.said(ArchiveDeleted)) == (0, 0)


async def test_a_hold_that_was_laid_before_the_deletion_began_wins_and_one_after_it_does_not(
    leaving: Leaving,
) -> None:
    hold = Said(leaving.others, backup_id=leaving.backup_id)
    leaving.bus.just_before = hold.held

    for _ in range(2):
        await leaving.remove()
        assert (leaving.said(ArchiveDeletionBegun), leaving.said(ArchiveDeleted)) == (1, 0)

    await hold.released()
    await hold.held()
    await leaving.remove()
    assert await names(leaving.store) == set()


async def test_a_copy_that_expired_anew_waits_for_its_new_undo_window(leaving: Leaving) -> None:
    await leaving.others.append(ArchiveUndeleted(**leaving.about, reason="kept again"))
    await leaving.expires(now() + timedelta(hours=1))  # which the read model does not hold yet

    await leaving.remove()

    assert (leaving.said(ArchiveDeletionBegun), leaving.said(ArchiveDeleted)) == (0, 0)
