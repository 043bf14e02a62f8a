"""A lease: at most one holder of a name, as long as it keeps renewing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import structlog

from shared.bus.base import Bus
from shared.ending import ended, in_time
from shared.errors import PlatformError, UnavailableError, leaves

LEASE_TTL_S = 2.0

Lead: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""What is done, for ever, by whoever holds a lease."""

_log = structlog.get_logger()


class LeaseLostError(PlatformError):
    """Renewal failed: another replica may hold the lease now, so this one must stop."""

    code = "lease.lost"


@asynccontextmanager
async def held(
    bus: Bus, name: str, holder: str, *, ttl_s: float = LEASE_TTL_S
) -> AsyncIterator[asyncio.Task[None]]:
    """Wait until `name` is ours, keep it inside the block, give it back at the end.

    Yields the task that renews; it ends with LeaseLostError when the lease is lost, so a service
    runs its work and that task in one TaskGroup. A lease is a hint: what it guards is fenced too.
    """
    revision = await _taken(bus, name, holder, ttl_s)
    renewing = asyncio.create_task(_renew(bus, name, holder, revision, ttl_s))
    try:
        yield renewing
    finally:
        await ended(renewing)
        with suppress(PlatformError, TimeoutError):  # not given back: it expires by itself
            await in_time(_give_back(bus, name, holder), ttl_s)


async def led(bus: Bus, name: str, holder: str, lead: Lead) -> None:
    """Run `lead` while `name` is ours, for ever: what is lost, to another replica or because the
    bus was away for longer than the lease, is waited for again. Any other error is raised.
    """

    async def once() -> None:
        async with held(bus, name, holder) as renewing, asyncio.TaskGroup() as group:
            group.create_task(_outcome(renewing))
            group.create_task(lead())

    while True:
        try:
            await apart(once)
        except* (LeaseLostError, UnavailableError) as errors:
            codes = sorted({error.code for error in leaves(errors)})
            _log.warning("stepped_down", lease=name, codes=codes)
        await asyncio.sleep(LEASE_TTL_S / 4)


async def apart(work: Lead) -> None:
    """Run `work` in a task of its own: a loop that catches its errors still ends when cancelled.

    A task group that is cancelled while a task of it fails raises the failure alone.
    """
    task = asyncio.ensure_future(work())
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await ended(task)
        raise
    task.result()


async def _outcome(renewing: asyncio.Task[None]) -> None:
    await asyncio.shield(renewing)


async def _taken(bus: Bus, name: str, holder: str, ttl_s: float) -> int:
    """Wait for the lease, through cuts too; returns its first revision."""
    while True:
        with suppress(UnavailableError):
            if revision := await bus.kv("leases").create(name, holder.encode(), ttl_s=ttl_s):
                return revision
        await asyncio.sleep(ttl_s / 4)


async def _give_back(bus: Bus, name: str, holder: str) -> None:
    bucket = bus.kv("leases")
    entry = await bucket.get(name)
    if entry is not None and entry.value == holder.encode():
        await bucket.delete(name)


async def _renew(bus: Bus, name: str, holder: str, revision: int, ttl_s: float) -> None:
    bucket, loop = bus.kv("leases"), asyncio.get_running_loop()
    valid_until = loop.time() + ttl_s
    while True:
        await asyncio.sleep(ttl_s / 4)
        try:
            async with asyncio.timeout_at(valid_until):
                sent = loop.time()
                new = await bucket.update(name, holder.encode(), revision=revision, ttl_s=ttl_s)
        except (TimeoutError, PlatformError) as error:
            if loop.time() < valid_until:
                continue
            raise LeaseLostError(f"the lease {name} could not be renewed in time") from error
        if new is None:
            raise LeaseLostError(f"the lease {name} was taken by another replica")
        revision, valid_until = new, sent + ttl_s
