"""Sealing archives anew: what is said, what waits, and when the older keys are needed no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from services.scheduler.rewrapping import AGAIN_S, LOOK_EVERY_S, Rewrapping
from services.scheduler.sealed import Sealed
from shared.archive.keys import RecipientKey
from shared.archive.reader import open_envelope
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.messages.facts import (
    ArchiveRewrapped,
    BackupCorrupted,
    BackupRewrapped,
    KeyRewrapped,
)
from shared.messages.facts.archives import archive_id
from shared.messages.settings import PlatformSetting
from shared.stores import Store
from shared.stores.base import StoreUnreachableError
from tests.support.archives import RECIPIENT, RECOVERY, local, make_plan, write

NEW = RecipientKey(bytes(range(9, 41)))
KEYS = (NEW, RECIPIENT)


class Town:
    """Archives in two stores, and what the log says of their keys."""

    def __init__(self, folder: Path) -> None:
        self.bus = MemoryBus()
        self.stores = {name: local(folder / name) for name in ("cellar", "attic")}
        self.away: set[str] = set()
        self.known: list[Sealed] = []
        self.open: set[UUID] = set()
        self.setting = PlatformSetting(
            key="self",
            origin="o",
            audit_public_key="k",
            platform_recipient=NEW.public.text(),
            recovery_recipient=RECOVERY.public.text(),
        )

    async def archived(
        self, store_id: str = "cellar", *, key: RecipientKey = RECIPIENT, copied: bool = False
    ) -> Sealed:
        backup_id = uuid4()
        plan = make_plan(backup_id=str(backup_id), attempt="1", recipients=(key.public,))
        await write(self.stores[store_id], b"dump", plan)
        copy = archive_id(backup_id, store_id) if copied else None
        one = Sealed(copy or backup_id, backup_id, copy, store_id, f"{backup_id}/1")
        self.known.append(one)
        return one

    async def platform(self) -> PlatformSetting:
        return self.setting

    async def open_store(self, store_id: str) -> Store:
        if store_id in self.away:
            raise StoreUnreachableError("the store does not answer")
        return self.stores[store_id]

    async def at_least(self, seq: int) -> None:
        """Everything said is known at once."""

    async def otherwise(self, key_id: str, after: UUID | None, limit: int) -> Sequence[Sealed]:
        sealed = {
            (said.backup_id, said.store_id): said.recipients[0]
            for said in self.said(BackupRewrapped) + self.said(ArchiveRewrapped)
        }
        left = [
            one
            for one in sorted(self.known, key=lambda one: one.id)
            if sealed.get((one.backup_id, one.store_id)) != key_id
            and (after is None or one.id > after)
        ]
        return left[:limit]

    async def under_way(self) -> set[UUID]:
        return set(self.open)

    def said(self, kind: type) -> list:  # type: ignore[type-arg]
        facts = [one.message for one in self.bus.server.stream(EVENTS).messages]
        return [fact for fact in facts if isinstance(fact, kind)]

    def rewrapping(self, *keys: RecipientKey, adopted: tuple[RecipientKey, ...] = ()) -> Rewrapping:
        stores = _Stores(self)
        return Rewrapping(self.bus, self, self, stores, keys or KEYS, adopted=adopted)


class _Stores:
    def __init__(self, town: Town) -> None:
        self._town = town

    async def open(self, store_id: str) -> Store:
        return await self._town.open_store(store_id)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


async def ended(rewrapping: Rewrapping) -> None:
    async with asyncio.timeout(20):
        await rewrapping.keep()


async def test_every_archive_in_every_store_and_copy_is_sealed_to_the_new_key(town: Town) -> None:
    own, copy = await town.archived(), await town.archived("attic", copied=True)

    await ended(town.rewrapping())

    (of_backup,), (of_copy,) = town.said(BackupRewrapped), town.said(ArchiveRewrapped)
    assert (of_backup.backup_id, of_backup.envelope) == (own.backup_id, 2)
    assert (of_copy.archive_id, of_copy.store_id) == (copy.archive_id, "attic")
    assert of_copy.recipients == [NEW.public.id, RECOVERY.public.id]
    for one in (own, copy):
        assert await open_envelope(town.stores[one.store_id], one.prefix, NEW)
    assert [fact.newest for fact in town.said(KeyRewrapped)] == [NEW.public.id]


async def test_nothing_is_done_with_one_key(town: Town) -> None:
    await town.archived()

    await ended(town.rewrapping(RECIPIENT))

    assert town.said(BackupRewrapped) == []


async def test_it_waits_until_everybody_is_told_of_the_new_key(town: Town) -> None:
    await town.archived()
    told = town.setting
    town.setting = msgspec.structs.replace(told, platform_recipient=RECIPIENT.public.text())
    rewrapping = town.rewrapping()

    assert await rewrapping.look() == LOOK_EVERY_S
    assert town.said(BackupRewrapped) == []

    town.setting = told
    await ended(rewrapping)
    assert len(town.said(BackupRewrapped)) == 1


async def test_the_older_key_is_needed_while_a_backup_of_before_is_being_made(town: Town) -> None:
    running, later = uuid4(), uuid4()
    town.open = {running}
    rewrapping = town.rewrapping()

    assert await rewrapping.look() == LOOK_EVERY_S
    town.open = {running, later}
    assert await rewrapping.look() == LOOK_EVERY_S
    assert town.said(KeyRewrapped) == []

    town.open = {later}  # it began when the new key was known to everybody
    await rewrapping.look()
    assert len(town.said(KeyRewrapped)) == 1


async def test_a_store_that_is_away_keeps_the_older_key_and_holds_up_no_other(town: Town) -> None:
    await town.archived("attic")
    await town.archived("attic")
    here = await town.archived()
    town.away = {"attic"}
    rewrapping = town.rewrapping()

    assert await rewrapping.look() == AGAIN_S
    assert [fact.backup_id for fact in town.said(BackupRewrapped)] == [here.backup_id]
    assert town.said(KeyRewrapped) == []

    town.away = set()
    await ended(rewrapping)
    assert len(town.said(BackupRewrapped)) == 3
    assert len(town.said(KeyRewrapped)) == 1


async def test_a_damaged_envelope_keeps_the_older_key(town: Town) -> None:
    one = await town.archived()
    path = Path(town.stores["cellar"].root) / one.prefix / "envelope.1"
    stored = path.read_bytes()
    path.unlink()
    path.write_bytes(stored[:-9])

    assert await town.rewrapping().look() == AGAIN_S
    assert town.said(BackupRewrapped) + town.said(KeyRewrapped) == []


async def test_no_archive_of_a_store_that_is_not_mounted_is_damaged(town: Town) -> None:
    await town.archived()
    root = Path(town.stores["cellar"].root)
    root.rename(root.with_name("elsewhere"))
    root.mkdir()  # the empty place of the mount

    assert await town.rewrapping().look() == AGAIN_S
    assert town.said(BackupCorrupted) + town.said(KeyRewrapped) == []


async def test_what_no_key_of_ours_opens_needs_none_of_them(town: Town) -> None:
    await town.archived(key=RecipientKey.generate())

    await ended(town.rewrapping())

    assert len(town.said(KeyRewrapped)) == 1
    assert town.said(BackupRewrapped) == []


async def test_what_an_adopted_key_opens_is_sealed_to_ours_and_the_key_stays(town: Town) -> None:
    theirs = RecipientKey.generate()
    one = await town.archived(key=theirs)
    rewrapping = town.rewrapping(NEW, adopted=(theirs,))

    assert await rewrapping.look() == 0.0
    assert await rewrapping.look() == AGAIN_S

    assert town.said(KeyRewrapped) == []
    (fact,) = town.said(BackupRewrapped)
    assert fact.recipients == [NEW.public.id, RECOVERY.public.id]
    assert await open_envelope(town.stores["cellar"], one.prefix, RECOVERY)


async def test_an_envelope_that_was_written_and_not_said_is_not_written_again(town: Town) -> None:
    one = await town.archived()
    await town.rewrapping().look()
    town.bus = MemoryBus()  # as if it had been killed in between

    await ended(town.rewrapping())

    names = [path.name for path in (Path(town.stores["cellar"].root) / one.prefix).iterdir()]
    assert sorted(name for name in names if "envelope" in name) == ["envelope.1", "envelope.2"]
    assert [fact.envelope for fact in town.said(BackupRewrapped)] == [2]
