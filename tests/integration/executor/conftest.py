"""Fixtures of the executor's suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.bus.memory import MemoryBus
from tests.integration.executor.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An executor's surroundings over the bus in memory; the chaos suites use a real server."""
    return World(MemoryBus(), tmp_path)
