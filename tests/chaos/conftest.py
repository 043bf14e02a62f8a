"""What a run depends on: its seed, printed so that it can be repeated, and its length."""

from __future__ import annotations

import os
from random import Random

import pytest


@pytest.fixture
def seed() -> int:
    """`CHAOS_SEED`, else a new one; printed either way."""
    found = int(os.environ.get("CHAOS_SEED") or Random().getrandbits(32))
    print(f"CHAOS_SEED={found}")
    return found


@pytest.fixture
def rounds() -> int:
    """How often a soak does what it does: `CHAOS_ROUNDS`, else 20 times."""
    return int(os.environ.get("CHAOS_ROUNDS") or 20)
