"""The main job, on real servers: what is restored is what was there."""

from __future__ import annotations

from uuid import uuid4

from services.cli.demo.compare import content_of, differences
from shared.messages.facts import RestoreCompleted
from tests.integration.executor.shop import SHOP, compared
from tests.integration.executor.world import World, database, engine_of
from tests.support.postgres import Postgres


async def test_a_restored_database_equals_the_one_backed_up(
    world: World, customer: Postgres
) -> None:
    target = f"restored_{uuid4().hex[:8]}"
    async with database(customer, SHOP) as source, world.executor():
        backup = await world.backup(engine_of(customer), source)
        order = await world.restore_order(engine_of(customer), target, backup)
        await world.bus.append(order)
        ended = await world.ending(order)

        was = await content_of(compared(customer, source))
        now = await content_of(compared(customer, target))

    assert isinstance(ended, RestoreCompleted), ended
    assert differences(was, now) == []
    assert sum(one.rows for one in ended.tables) == 15_005
    assert ended.raw_bytes == backup.archive.raw_bytes
    assert world.sessions() == []
