"""An empty world for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.storage.world import World, world
from tests.support.postgres import Postgres


@pytest.fixture
async def platform(tmp_path: Path, postgres: Postgres) -> AsyncIterator[World]:
    async with world(tmp_path, postgres) as made:
        yield made
