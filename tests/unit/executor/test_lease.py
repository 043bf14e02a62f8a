"""One worker at a time on one run."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from services.executor.lease import run_lease
from shared.bus.base import LeaveDelivery
from shared.bus.memory import MemoryBus

TTL_S = 0.4


async def test_a_second_holder_leaves_while_the_first_lives_and_comes_in_afterwards() -> None:
    bus, run_id = MemoryBus(), uuid4()
    async with run_lease(bus, "core", run_id, "first", ttl_s=TTL_S):
        await asyncio.sleep(TTL_S * 2)
        with pytest.raises(LeaveDelivery):
            async with run_lease(bus, "core", run_id, "second", ttl_s=TTL_S):
                pass
    async with run_lease(bus, "core", run_id, "second", ttl_s=TTL_S) as lost:
        assert not lost.done()


async def test_the_holder_learns_that_somebody_else_took_it() -> None:
    bus, run_id = MemoryBus(), uuid4()
    async with run_lease(bus, "core", run_id, "first", ttl_s=TTL_S) as lost:
        await bus.kv("leases").put(f"run.core.{run_id}", b"second")
        await asyncio.wait_for(lost, TTL_S * 2)
    entry = await bus.kv("leases").get(f"run.core.{run_id}")

    assert entry is not None
    assert entry.value == b"second"


async def test_a_lease_that_nobody_took_meanwhile_is_taken_again() -> None:
    bus, run_id = MemoryBus(), uuid4()
    async with run_lease(bus, "core", run_id, "first", ttl_s=TTL_S) as lost:
        await bus.kv("leases").delete(f"run.core.{run_id}")
        await asyncio.sleep(TTL_S)
        entry = await bus.kv("leases").get(f"run.core.{run_id}")

        assert not lost.done()
        assert entry is not None
        assert entry.value == b"first"
