"""The lease of one run: no second worker begins it while the first one lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from shared.bus import Bus, Kv
from shared.bus.base import LeaveDelivery
from shared.errors import PlatformError

_RENEWALS = 4


@asynccontextmanager
async def run_lease(
    bus: Bus, pool: str, run_id: UUID, holder: str, *, ttl_s: float
) -> AsyncIterator[asyncio.Task[None]]:
    """Hold `run.<pool>.<run_id>` inside the block; raises LeaveDelivery where another holder lives.

    Yields a task that ends only once somebody else holds it. A bus that is away for longer than
    the lease costs no work: afterwards the lease is taken again if nobody has it. It only avoids
    work done twice; what decides is the expected sequence of the run's facts.
    """
    bucket, key = bus.kv("leases"), f"run.{pool}.{run_id}"
    revision = await bucket.create(key, holder.encode(), ttl_s=ttl_s)
    if revision is None:
        raise LeaveDelivery
    keeping = asyncio.create_task(_keep(bucket, key, holder.encode(), revision, ttl_s))
    try:
        yield keeping
    finally:
        kept = not keeping.done()
        keeping.cancel()
        await asyncio.wait({keeping})
        if kept:
            with suppress(PlatformError, TimeoutError):  # it ends by itself soon
                await bucket.delete(key)


async def _keep(bucket: Kv, key: str, holder: bytes, revision: int, ttl_s: float) -> None:
    held: int | None = revision
    while True:
        await asyncio.sleep(ttl_s / _RENEWALS)
        with suppress(PlatformError, TimeoutError):
            async with asyncio.timeout(ttl_s):
                if held is not None:
                    held = await bucket.update(key, holder, revision=held, ttl_s=ttl_s)
                if held is None:
                    held = await _again(bucket, key, holder, ttl_s)
                if held is None:
                    return


async def _again(bucket: Kv, key: str, holder: bytes, ttl_s: float) -> int | None:
    """A new revision if the lease is ours (an answer was lost) or nobody's, else None."""
    entry = await bucket.get(key)
    if entry is not None and entry.value == holder:
        return await bucket.update(key, holder, revision=entry.revision, ttl_s=ttl_s)
    return await bucket.create(key, holder, ttl_s=ttl_s)
