"""How full stores and groups are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.storage.catalogue import Level, ReadModelCatalogue
from shared.bus.base import EVENTS
from shared.messages.base import now
from shared.messages.facts import ArchiveReplicated, ArchiveRequested
from shared.messages.facts.archives import archive_id
from shared.messages.settings import GroupSetting, ServerSetting
from shared.messages.values import ArchiveFacts
from tests.integration.storage.world import World
from tests.unit.storage.builders import Said


async def completed(platform: World, stored_bytes: int, *, further: Sequence[str] = ()) -> UUID:
    backup = Said(platform.bus, further=further)
    await backup.requested()
    await backup.attempted(1)
    archive = ArchiveFacts(
        raw_bytes=1,
        stored_bytes=stored_bytes,
        manifest_sha256="ab" * 32,
        codec="zstd",
        tool="pg_dump",
        tool_version="16",
        server_version="16",
        taken_at=now(),
    )
    await backup.completed(1, archive)
    return backup.id


async def up_to_date(platform: World) -> None:
    await platform.model.at_least((await platform.bus.state(EVENTS)).last_seq)


async def test_the_groups_of_a_server_count_its_archives_its_copies_and_those_to_come(
    platform: World,
) -> None:
    for key, quota in (("a", 100), ("b", 50), ("empty", 10), ("free", None)):
        await platform.bus.append(GroupSetting(key=key, name=key, quota_bytes=quota))
    await platform.bus.append(
        ServerSetting(
            key=str(Said.SERVER),
            name="shop",
            runner={"kind": "local"},
            endpoints=[],
            group_ids=["a", "b", "free"],
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

    levels = await ReadModelCatalogue(platform.model).group_levels()

    full = {"stored_bytes": 7 + 8 + 3, "awaited_bytes": 3 + 3}
    assert levels == {
        "a": Level(quota_bytes=100, **full),
        "b": Level(quota_bytes=50, **full),
        "empty": Level(quota_bytes=10, stored_bytes=0),
    }
