"""A town for each test, with a server, a store and a worker's key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.town import Town, a_town
from tests.support.postgres import Postgres


@pytest.fixture
async def town(tmp_path: Path, postgres: Postgres) -> AsyncIterator[Town]:
    async with a_town(tmp_path, postgres) as made:
        await made.furnish(tmp_path / "store")
        yield made
