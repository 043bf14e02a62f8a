"""Answers whether a store works: one object goes in, comes back equal and goes."""

from __future__ import annotations

import asyncio
import time

from services.storage.ledger import ACTOR
from services.storage.opening import Stores
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.errors import PlatformError
from shared.messages.base import consequence
from shared.messages.facts import StoreTested, StoreTestRequested
from shared.messages.values import Problem
from shared.stores.base import StoreError, StoreUnreachableError

DURABLE = "storage-tests"
FILTERS = ("evt.store.test_requested.core.>",)
AT_ONCE = 4
WITHIN_S = 60.0


class NoStoreError(StoreError):
    """The store was removed meanwhile."""

    code = "store.gone"


class Tester:
    """Each question is answered once, by one replica."""

    def __init__(self, bus: Bus, stores: Stores) -> None:
        self._bus, self._stores = bus, stores

    async def listen(self) -> None:
        """For ever."""
        await self._bus.work(DURABLE, EVENTS, FILTERS, self.on_requested, parallel=AT_ONCE)

    async def on_requested(self, delivery: Delivery) -> None:
        """Try the store, and say what came of it."""
        asked = delivery.message
        if not isinstance(asked, StoreTestRequested):
            return
        began = time.monotonic()
        problem, free_bytes = None, None
        try:
            async with asyncio.timeout(WITHIN_S):
                free_bytes = await self._free(asked.store_id)
        except TimeoutError:
            problem = _told(StoreUnreachableError("the store does not answer"))
        except PlatformError as error:
            problem = _told(error)
        await self._bus.append(
            StoreTested(
                id=consequence(asked.id, "tested"),
                actor=ACTOR,
                caused_by=asked.id,
                request_id=asked.request_id,
                store_id=asked.store_id,
                run_id=asked.run_id,
                seconds=round(time.monotonic() - began, 3),
                free_bytes=free_bytes,
                problem=problem,
            )
        )

    async def _free(self, store_id: str) -> int | None:
        store = await self._stores.open(store_id)
        if store is None:
            raise NoStoreError("there is no such store any more")
        await store.test()
        return await store.free_bytes()


def _told(error: PlatformError) -> Problem:
    return Problem(code=error.code, cause=error.cause, fix=error.fix)
