"""Starts the scheduler."""

from __future__ import annotations

import os
from pathlib import Path

from services.scheduler.importing import Imports
from services.scheduler.opening import ReadModelBook
from services.scheduler.orders import Orders
from services.scheduler.rehearsals import ReadModelRehearsals, Rehearser
from services.scheduler.rereading import ReadModelUnread, Rereader
from services.scheduler.rewrapping import Rewrapping
from services.scheduler.sealed import ReadModelSealed
from services.scheduler.service import Scheduler
from services.scheduler.settings import Settings
from services.scheduler.state import ReadModelState
from services.scheduler.timekeeper import Timekeeper
from shared.bus import Bus
from shared.faults import kill_points
from shared.keys.bucket import BusKeys
from shared.keys.reading import adopted_beside, read_key_encryption_keys
from shared.keys.vault import Vault, encryption_keys
from shared.readmodel.reader import read_model
from shared.serving import replica_name, serve
from shared.settings import load


async def work(bus: Bus) -> None:
    settings = load(Settings, os.environ)
    kek = Path(settings.kek_file)
    keys, adopted = read_key_encryption_keys(kek), adopted_beside(kek)
    vault = Vault(BusKeys(bus), encryption_keys(settings.encryption_key))
    async with read_model(settings.database_url) as reader:
        state = ReadModelState(reader)
        orders = Orders(
            bus, state, vault, (*keys, *adopted), allow_loopback=settings.allow_loopback
        )
        timekeeper = Timekeeper(bus, ReadModelBook(reader))
        point = kill_points(os.environ)
        sealed = ReadModelSealed(reader)
        rewrapping = Rewrapping(bus, state, sealed, orders, keys, adopted=adopted, point=point)
        imports = Imports(bus, orders, (*keys, *adopted), rewrapping.wake)
        rehearser = Rehearser(bus, ReadModelRehearsals(reader))
        rereader = Rereader(bus, ReadModelUnread(reader), settings.deep_verify_every_s)
        scheduler = Scheduler(
            bus,
            state,
            orders,
            pool_limit=settings.pool_limit,
            beside=(timekeeper.keep, rewrapping.keep, imports.keep, rehearser.keep, rereader.keep),
        )
        await timekeeper.rehearse()
        await scheduler.listen(replica_name())


if __name__ == "__main__":
    serve("scheduler", work, Settings)
