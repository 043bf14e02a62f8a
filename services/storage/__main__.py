"""Starts the storage service."""

from __future__ import annotations

import os

from services.storage.catalogue import ReadModelCatalogue
from services.storage.copies import ReadModelCopies
from services.storage.kept import ReadModelKept
from services.storage.opening import SealedStores
from services.storage.service import Storage
from services.storage.settings import Settings
from services.storage.tiers import ReadModelTiers
from shared.bus import Bus
from shared.keys.bucket import BusKeys
from shared.keys.vault import Vault, encryption_keys
from shared.readmodel.reader import read_model
from shared.serving import replica_name, serve
from shared.settings import load


async def work(bus: Bus) -> None:
    settings = load(Settings, os.environ)
    vault = Vault(BusKeys(bus), encryption_keys(settings.encryption_key))
    async with read_model(settings.database_url) as reader:
        stores = SealedStores(bus, vault, allow_loopback=settings.allow_loopback)
        service = Storage(
            bus,
            ReadModelCatalogue(reader),
            ReadModelCopies(reader),
            stores,
            settings,
            kept=ReadModelKept(reader),
            tiers=ReadModelTiers(reader),
            replica=replica_name(),
        )
        await service.listen()


if __name__ == "__main__":
    serve("storage", work, Settings)
