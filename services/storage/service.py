"""Storage: every object in every store is its; it alone deletes, and proves what is kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from services.storage.catalogue import Catalogue
from services.storage.cleaner import Cleaner
from services.storage.copier import Copier
from services.storage.copies import Copies
from services.storage.envelopes import Envelopes
from services.storage.gauge import Gauge, GroupGauge
from services.storage.kept import KeptArchives
from services.storage.lane import Lane
from services.storage.ledger import Ledger
from services.storage.mover import Mover
from services.storage.opening import Desk, Stores
from services.storage.prover import Prover
from services.storage.scrubber import Scrubber
from services.storage.settings import Settings
from services.storage.testing import Tester
from services.storage.tiers import Tiers
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.errors import PlatformError
from shared.messages.facts import (
    ArchiveRewrapped,
    BackupAttempted,
    BackupImported,
    BackupMoved,
    BackupRequested,
    BackupRewrapped,
)
from shared.messages.facts.archives import ArchiveFact
from shared.messages.facts.backups import BackupFact
from shared.messages.settings import StoreSetting
from shared.pace import pace_of
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
    "evt.backup.moved.*.>",
    "evt.backup.rewrapped.*.>",
    "evt.backup.imported.*.>",
)
COPIES = (
    "evt.archive.requested.*.>",
    "evt.archive.expired.*.>",
    "evt.archive.replicated.*.>",
    "evt.archive.rewrapped.*.>",
)
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
        kept: KeptArchives,
        tiers: Tiers,
        replica: str,
    ) -> None:
        self._bus, self._catalogue, self._stores, self._replica = bus, catalogue, stores, replica
        self._copies, self._kept, self._tiers = copies, kept, tiers
        self._settings, self._ledger = settings, Ledger(bus, catalogue)
        self._lanes: dict[str, list[Lane]] = {}
        groups = GroupGauge(bus, catalogue)
        self._groups = Lane("gauge groups", groups.look, every_s=settings.look_every_s)
        self._envelopes: dict[str, Envelopes] = {}

    async def listen(self) -> None:
        """Announce the stores, then work on the state there is and on every fact after it."""
        await announce(self._bus, "store", AnyStore)
        position = await self._catalogue.position()
        async with asyncio.TaskGroup() as group:
            for store_id in await self._catalogue.store_ids():
                self._open_lanes(group, store_id)
            # Apart, since each reader is allowed one filter, as narrow as its purpose.
            group.create_task(Tester(self._bus, self._stores).listen())
            group.create_task(self._groups.run())
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
        if isinstance(delivery.message, BackupRewrapped | ArchiveRewrapped):
            self._envelopes[delivery.message.store_id].hear(delivery.message)
        self._wake(delivery.seq, *store_ids)

    async def _stores_of(self, delivery: Delivery) -> list[str]:
        """The stores in which there is something to do because of this."""
        message = delivery.message
        if isinstance(message, StoreSetting):
            return [message.key]
        if isinstance(message, BackupAttempted | BackupImported | BackupRewrapped | ArchiveFact):
            return [message.store_id]
        if isinstance(message, BackupMoved):
            return [message.from_store_id, message.to_store_id]
        if not isinstance(message, BackupFact):
            return []
        requests = await self._bus.last_of(f"evt.backup.requested.*.{message.backup_id}")
        request = requests[-1].message if requests else None
        if not isinstance(request, BackupRequested):
            return await self._imported_into(message.backup_id)
        moves = await self._bus.last_of(f"evt.backup.moved.*.{message.backup_id}")
        moved = [one.message.to_store_id for one in moves if isinstance(one.message, BackupMoved)]
        return [request.store_id, *request.further_store_ids, *moved]

    async def _imported_into(self, backup_id: UUID) -> list[str]:
        found = await self._bus.last_of(f"evt.backup.imported.*.{backup_id}")
        facts = [one.message for one in found]
        return [fact.store_id for fact in facts if isinstance(fact, BackupImported)]

    def _wake(self, seq: int, *store_ids: str) -> None:
        self._groups.wake(seq)
        for store_id in store_ids:
            for lane in self._lanes[store_id]:
                lane.wake(seq)

    def _open_lanes(self, group: asyncio.TaskGroup, store_id: str) -> None:
        if store_id in self._lanes:
            return
        desk = Desk(self._bus, self._stores, self._catalogue.standing, store_id, self._replica)
        prover = Prover(desk, self._catalogue, self._ledger)
        second_look = timedelta(seconds=self._settings.second_look_s)
        envelopes = self._envelopes[store_id] = Envelopes(self._bus, desk)
        cleaner = Cleaner(
            *(self._bus, desk, self._catalogue, self._copies, self._ledger, second_look, envelopes)
        )
        copier = Copier(self._bus, desk, self._stores, self._catalogue, self._copies, self._ledger)
        gauge = Gauge(self._bus, self._catalogue, store_id)
        scrubber = Scrubber(
            self._bus,
            desk,
            self._catalogue,
            self._kept,
            self._ledger,
            timedelta(seconds=self._settings.scrub_cycle_s),
            pace_of(self._settings.scrub_bytes_per_s),
        )
        mover = Mover(self._bus, self._catalogue, self._tiers, self._ledger, store_id)
        every_s, scan_every_s = self._settings.look_every_s, self._settings.scan_every_s
        woken = [
            Lane(f"prove {store_id}", prover.prove, every_s=every_s),
            Lane(f"clean {store_id}", cleaner.clean, every_s=every_s),
            Lane(f"copy {store_id}", copier.keep, every_s=every_s),
            Lane(f"tidy {store_id}", envelopes.tidy, every_s=every_s),
            Lane(f"gauge {store_id}", gauge.look, every_s=every_s),
        ]
        self._lanes[store_id] = woken
        seldom = [
            Lane(f"scan {store_id}", cleaner.scan, every_s=scan_every_s),
            Lane(f"heal {store_id}", prover.heal, every_s=scan_every_s),
            Lane(f"scrub {store_id}", scrubber.scrub, every_s=every_s),
            Lane(f"move {store_id}", mover.move, every_s=every_s),
        ]
        for lane in [*woken, *seldom]:
            group.create_task(lane.run())
