"""How full stores and groups are: right, and asked for in a few queries however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Row

from services.storage.catalogue import Level, ReadModelCatalogue
from services.storage.ledger import Ledger
from services.storage.mover import Mover
from services.storage.tiers import Moving
from shared.bus.base import EVENTS
from shared.messages.base import now
from shared.messages.facts import ArchiveReplicated, ArchiveRequested
from shared.messages.facts.archives import archive_id
from shared.messages.settings import GroupSetting, ServerSetting, StoreSetting
from shared.readmodel.reader import ReadModel
from tests.integration.storage.world import World
from tests.support.archives import archive_facts
from tests.unit.storage.builders import Said


class Counting(ReadModel):
    """Counts the questions."""

    def __init__(self, model: ReadModel) -> None:
        super().__init__(model._engine)
        self.asked = 0

    async def rows(self, query: Executable) -> Sequence[Row[Any]]:
        self.asked += 1
        return await super().rows(query)


async def completed(platform: World, stored_bytes: int, *, further: Sequence[str] = ()) -> UUID:
    backup = Said(platform.bus, further=further)
    await backup.requested()
    await backup.attempted(1)
    archive = archive_facts(stored_bytes=stored_bytes)
    await backup.completed(1, archive)
    return backup.id


async def up_to_date(platform: World) -> None:
    await platform.model.at_least((await platform.bus.state(EVENTS)).last_seq)


async def test_the_groups_of_a_server_count_its_archives_its_copies_and_those_to_come(
    platform: World,
) -> None:
    for key, quota in (("a", 100), ("b", 50), ("c", 20), ("empty", 10), ("free", None)):
        await platform.bus.append(GroupSetting(key=key, name=key, quota_bytes=quota))
    await platform.bus.append(
        ServerSetting(
            key=str(Said.SERVER),
            name="shop",
            runner={"kind": "local"},
            endpoints=[],
            group_ids=["a", "b", "c", "free"],
        )
    )
    copied = await completed(platform, 7, further=["far"])
    about: dict[str, Any] = {
        "archive_id": archive_id(copied, "far"),
        "backup_id": copied,
        "store_id": "far",
    }
    await platform.bus.append(ArchiveRequested(**about))
    stands = {"prefix": f"{copied}/1", "stored_bytes": 8, "seconds": 0.1}
    await platform.bus.append(ArchiveReplicated(**about, **stands))
    await completed(platform, 3, further=["far", "farther"])
    await up_to_date(platform)
    model = Counting(platform.model)

    levels = await ReadModelCatalogue(model).group_levels()

    full = {"stored_bytes": 7 + 8 + 3, "awaited_bytes": 3 + 3}
    assert levels == {
        "a": Level(quota_bytes=100, **full),
        "b": Level(quota_bytes=50, **full),
        "c": Level(quota_bytes=20, **full),
        "empty": Level(quota_bytes=10, stored_bytes=0),
    }
    assert model.asked <= 4


class Asked(ReadModelCatalogue):
    """Counts how often a level is asked for."""

    asked = 0

    async def level(self, store_id: str) -> Level:
        self.asked += 1
        return await super().level(store_id)


class Due:
    """Every backup is a chain of its own that is due to move."""

    def __init__(self, backup_ids: Sequence[UUID], stored_bytes: int) -> None:
        self._due = [
            [
                Moving(
                    backup_id=one,
                    to_store_id="cold",
                    since=now(),
                    verified=True,
                    held=False,
                    stored_bytes=stored_bytes,
                )
            ]
            for one in backup_ids
        ]

    async def chains(self, store_id: str, at: object) -> Sequence[Sequence[Moving]]:
        return self._due


async def test_a_store_is_asked_once_for_its_room_by_all_that_is_to_move_to_it(
    platform: World,
) -> None:
    store = {"kind": "local", "root": "/nowhere"}
    await platform.bus.append(StoreSetting(key="cold", name="cold", store=store, quota_bytes=25))
    due = [await completed(platform, 10) for _ in range(4)]
    await up_to_date(platform)
    catalogue = Asked(platform.model)
    mover = Mover(platform.bus, catalogue, Due(due, 10), Ledger(platform.bus, catalogue), "s1")

    await mover.move(0)

    asked = await platform.all_of(ArchiveRequested)
    assert [one.backup_id for one in asked] == due[:2]
    assert catalogue.asked == 1
