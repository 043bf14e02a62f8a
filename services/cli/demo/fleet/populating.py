"""Sample data: the whole fleet, in a platform that has nothing yet.

Settings are made through the API; the history is published as the facts that the services would
have said. Its servers and stores do not exist, so nobody may be there who would look for them:
only `SERVICES` run with it, and two of these only until they have announced their plug-ins.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from services.cli.demo.api import Api, first_admin
from services.cli.demo.fleet.databases import FLEET, Fleet
from services.cli.demo.fleet.history import history
from services.cli.demo.fleet.living import alive, talk
from services.cli.demo.fleet.settings import make_places, make_rules
from services.launcher.up import Platform
from shared.bus import Bus, Draft
from shared.bus.base import EVENTS
from shared.bus.jetstream import connect
from shared.messages.settings import DatabaseSetting

SERVICES = ("auditor", "gateway", "executor", "storage", "notifier")
MEDDLING = ("storage", "notifier")
"""They would verify archives that are not there, and tell channels that are nobody's."""
BATCH = 100
LOG_LINES = 400
LOOK_EVERY_S = 0.1
WITHIN_S = 120.0


@asynccontextmanager
async def sample_fleet(platform: Platform, password: str) -> AsyncIterator[tuple[Api, Bus, Fleet]]:
    """Fill a new platform of `SERVICES`, and keep it moving for the block.

    The bus that it yields is for output of runs, which only an executor may say.
    """
    token = platform.first_admin_token
    assert token is not None, "a fresh platform has a one-time token"
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(first_admin(platform.url, token, password))
        settings = platform.installation.bus_settings()
        bus = await stack.enter_async_context(connect(settings, source="sample", gate=False))
        settings = platform.installation.bus_settings("executor")
        voice = await stack.enter_async_context(connect(settings, source="sample", gate=False))
        await _announced(api)
        await platform.stop(MEDDLING)
        fleet = await populate(api, bus)
        await stack.enter_async_context(alive(bus, voice, fleet))
        await talk(voice, fleet.running[0], LOG_LINES)
        yield api, voice, fleet


async def populate(api: Api, bus: Bus) -> Fleet:
    """Make everything; returns once the projection has all of it."""
    fleet = await make_places(api)
    facts = sorted(history(fleet, datetime.now(UTC)), key=lambda fact: fact.at)
    for at in range(0, len(facts), BATCH):
        await bus.append_all([Draft(fact) for fact in facts[at : at + BATCH]])
    for one in FLEET:
        if one.tags:
            key = str(fleet.reference(one).id)
            await bus.append(DatabaseSetting(key=key, tags=[*one.tags]))
    await _projected(api, (await bus.state(EVENTS)).last_seq)
    await make_rules(api, fleet)
    return fleet


async def _announced(api: Api) -> None:
    """Wait until every kind of plug-in can be configured."""
    async with asyncio.timeout(WITHIN_S):
        while not all((await api.get("/plugins")).values()):
            await asyncio.sleep(LOOK_EVERY_S)


async def _projected(api: Api, last_seq: int) -> None:
    """Wait until the newest entry of the audit log, which tells how far it is, is that one."""
    async with asyncio.timeout(WITHIN_S):
        while (await api.get("/audit/logs?limit=1"))["items"][0]["seq"] < last_seq:
            await asyncio.sleep(LOOK_EVERY_S)
