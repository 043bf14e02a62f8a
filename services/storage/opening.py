"""A store of the settings, opened with its credentials, for one worker at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from services.storage.marker import Standing, mark
from shared.bus import Bus
from shared.bus.lease import held
from shared.keys.plugins import open_config
from shared.keys.vault import Vault
from shared.messages.settings import StoreSetting
from shared.stores import Store, open_store
from shared.stores.paced import paced
from shared.stores.reach import require_permitted

LEASE_TTL_S = 5.0


class Stores(Protocol):
    """Opens stores by id."""

    async def open(self, store_id: str) -> Store | None:
        """The store as it is configured now; None once its setting was removed.

        Raises SealedValueError or StoreSettingsError when it cannot be opened.
        """


class SealedStores:
    """Stores from the log; secrets are opened by the vault, in memory only."""

    def __init__(self, bus: Bus, vault: Vault, *, allow_loopback: bool = False) -> None:
        self._bus, self._vault, self._allow_loopback = bus, vault, allow_loopback

    async def open(self, store_id: str) -> Store | None:
        subject = f"cfg.store.{store_id}"
        last = await self._bus.last_of(subject)
        setting = last[-1].message if last else None
        if not isinstance(setting, StoreSetting):
            return None
        config = await open_config(self._vault, subject, "store", setting.store)
        store = open_store(msgspec.json.encode(config))
        await require_permitted(store, allow_loopback=self._allow_loopback)
        return paced(store, setting.pace)


class Desk:
    """One store for one purpose: only one worker of all replicas sits there at a time.

    The lease saves work that would do nothing new; losing it harms nothing.
    """

    def __init__(
        self, bus: Bus, stores: Stores, standing: Standing, store_id: str, holder: str
    ) -> None:
        self._bus, self._stores, self._standing, self._holder = bus, stores, standing, holder
        self.store_id = store_id

    @asynccontextmanager
    async def taken(self, purpose: str) -> AsyncIterator[Store | None]:
        """Wait for the place, then open the store (None: there is no such store any more).

        Raises NotMountedError when what answers is not the store that was written to.
        """
        store = await self._stores.open(self.store_id)
        if store is None:
            yield None
            return
        name = f"storage.{purpose}.{self.store_id}"
        async with held(self._bus, name, self._holder, ttl_s=LEASE_TTL_S):
            await mark(store, self.store_id, self._standing)
            yield store

    async def still_there(self, store: Store) -> None:
        """Ask again before it is said that something is gone; raises NotMountedError."""
        await mark(store, self.store_id, self._standing)
