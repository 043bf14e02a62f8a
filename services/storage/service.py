"""Storage: every object in every store is its; it alone deletes, and proves what is kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from services.storage.catalogue import Catalogue
from services.storage.cleaner import Cleaner
from services.storage.copier import Copier
from services.storage.copies import Copies
from services.storage.gauge import Gauge
from services.storage.lane import Lane
from services.storage.ledger import Ledger
from services.storage.opening import Desk, Stores
from services.storage.prover import Prover
from services.storage.settings import Settings
from services.storage.testing import Tester
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.errors import PlatformError
from shared.messages.facts import BackupAttempted, BackupRequested
from shared.messages.facts.archives import ArchiveFact
from shared.messages.facts.backups import BackupFact
from shared.messages.settings import StoreSetting
from shared.plugins import announce
from shared.stores import AnyStore

FACTS = (
    "evt.backup.attempted.*.>",
    "evt.backup.completed.*.>",
    "evt.backup.failed.*.>",
    "evt.backup.cancelled.*.>",
    "evt.backup.expired.*.>",
    "evt.backup.delete_requested.*.>",
    "evt.backup.released.*.>",
    "evt.backup.verify_requested.*.>",
    "evt.backup.deleted.*.>",
)
COPIES = ("evt.archive.requested.*.>", "evt.archive.expired.*.>", "evt.archive.replicated.*.>")
STORES = ("cfg.store.>",)


class Storage:
    """Keeps lanes for each store, and wakes those that a fact concerns.

    What there is to do is found in the read model, so a fact that was missed costs time only.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        bus: Bus,
        catalogue: Catalogue,
        copies: Copies,
        stores: Stores,
        settings: Settings,
        *,
        replica: str,
    ) -> None:
        self._bus, self._catalogue, self._stores, self._replica = bus, catalogue, stores, replica
        self._copies = copies
        self._settings, self._ledger = settings, Ledger(bus, catalogue)
        self._lanes: dict[str, list[Lane]] = {}

    async def listen(self) -> None:
        """Announce the stores, then work on the state there is and on every fact after it."""
        await announce(self._bus, "store", AnyStore)
        position = await self._catalogue.position()
        async with asyncio.TaskGroup() as group:
            for store_id in await self._catalogue.store_ids():
                self._open_lanes(group, store_id)
            # Apart, since each reader is allowed one filter, as narrow as its purpose.
            group.create_task(Tester(self._bus, self._stores).listen())
            for filters in (FACTS, COPIES, STORES):
                group.create_task(self._follow(group, position, filters))

    async def _follow(
        self, group: asyncio.TaskGroup, position: int, filters: tuple[str, ...]
    ) -> None:
        async for delivery in self._bus.follow(EVENTS, after_seq=position, filters=filters):
            await self._on_event(group, delivery)

    async def _on_event(self, group: asyncio.TaskGroup, delivery: Delivery) -> None:
        try:
            store_ids = await self._stores_of(delivery)
        except PlatformError:  # whichever it was: the lanes look for themselves
            self._wake(delivery.seq, *self._lanes)
            return
        for store_id in store_ids:
            self._open_lanes(group, store_id)
        self._wake(delivery.seq, *store_ids)

    async def _stores_of(self, delivery: Delivery) -> list[str]:
        """The stores in which there is something to do because of this."""
        message = delivery.message
        if isinstance(message, StoreSetting):
            return [message.key]
        if isinstance(message, BackupAttempted | ArchiveFact):
            return [message.store_id]
        if not isinstance(message, BackupFact):
            return []
        requests = await self._bus.last_of(f"evt.backup.requested.*.{message.backup_id}")
        request = requests[-1].message if requests else None
        if not isinstance(request, BackupRequested):
            return []
        return [request.store_id, *request.further_store_ids]

    def _wake(self, seq: int, *store_ids: str) -> None:
        for store_id in store_ids:
            for lane in self._lanes[store_id]:
                lane.wake(seq)

    def _open_lanes(self, group: asyncio.TaskGroup, store_id: str) -> None:
        if store_id in self._lanes:
            return
        desk = Desk(self._bus, self._stores, self._catalogue.standing, store_id, self._replica)
        prover = Prover(desk, self._catalogue, self._ledger)
        second_look = timedelta(seconds=self._settings.second_look_s)
        cleaner = Cleaner(self._bus, desk, self._catalogue, self._copies, self._ledger, second_look)
        copier = Copier(self._bus, desk, self._stores, self._catalogue, self._copies, self._ledger)
        gauge = Gauge(self._bus, self._catalogue, store_id)
        every_s, scan_every_s = self._settings.look_every_s, self._settings.scan_every_s
        woken = [
            Lane(f"prove {store_id}", prover.prove, every_s=every_s),
            Lane(f"clean {store_id}", cleaner.clean, every_s=every_s),
            Lane(f"copy {store_id}", copier.keep, every_s=every_s),
            Lane(f"gauge {store_id}", gauge.look, every_s=every_s),
        ]
        self._lanes[store_id] = woken
        seldom = [
            Lane(f"scan {store_id}", cleaner.scan, every_s=scan_every_s),
            Lane(f"heal {store_id}", prover.heal, every_s=scan_every_s),
        ]
        for lane in [*woken, *seldom]:
            group.create_task(lane.run())
