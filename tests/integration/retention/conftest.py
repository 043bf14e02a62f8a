"""An empty world for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.storage.world import World, world
from tests.support.nats import Nats
from tests.support.postgres import Postgres


@pytest.fixture
async def platform(nats: Nats, postgres: Postgres) -> AsyncIterator[World]:
    async with world(nats, postgres) as made:
        yield made
