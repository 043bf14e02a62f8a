"""The scheduler and the health service as processes: started by environment, stopped by signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from shared.bus.lease import LEASE_TTL_S
from tests.integration.town import Town
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]


def environment(town: Town, service: str) -> dict[str, str]:
    bus = town.nats.settings(service)
    return {
        "PATH": os.environ["PATH"],
        "NATS_URL": bus.nats_url,
        "NATS_USER": service,
        "NATS_PASSWORD": bus.nats_password,
        "DATABASE_URL": town.database_url,
        "ENCRYPTION_KEY_FILE": str(town.keys.encryption_key),
        "KEK_FILE": str(town.keys.kek),
    }


@pytest.mark.parametrize("service", ["scheduler", "health"])
async def test_the_process_leads_idles_and_stops_cleanly(town: Town, service: str) -> None:
    before = await town.last_seq()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", cwd=ROOT, env=environment(town, service)
    )
    try:

        async def beats() -> bool:
            lease = await town.gateway.kv("leases").get(service)
            living = await town.gateway.kv("beats").keys(f"service.{service}.")
            return lease is not None and len(living) == 1

        await eventually(beats, within=30)
        assert await town.last_seq() == before

        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert await town.gateway.kv("leases").get(service) is None


@pytest.mark.parametrize("service", ["scheduler", "health"])
async def test_a_bus_that_is_away_for_longer_than_the_lease_ends_no_process(
    town: Town, service: str
) -> None:
    async def leads() -> int | None:
        entry = await town.gateway.kv("leases").get(service)
        return entry.revision if entry is not None else None

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", cwd=ROOT, env=environment(town, service)
    )
    try:
        await eventually(leads, within=30)
        await asyncio.to_thread(town.nats.server.kill9)
        await asyncio.sleep(2 * LEASE_TTL_S)
        await asyncio.to_thread(town.nats.server.start)
        back = await eventually(leads, within=20)
        await asyncio.sleep(2 * LEASE_TTL_S)

        assert process.returncode is None
        assert (await leads() or 0) > back
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_without_its_keys_the_scheduler_says_what_is_missing(town: Town) -> None:
    told = environment(town, "scheduler") | {"KEK_FILE": "/nonexistent/kek"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.scheduler",
        cwd=ROOT,
        env=told,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    assert b"kek cannot be read" in errors
