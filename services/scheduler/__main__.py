"""Starts the scheduler."""

from __future__ import annotations

import os
from pathlib import Path

from services.scheduler.opening import ReadModelBook
from services.scheduler.orders import Orders
from services.scheduler.service import Scheduler
from services.scheduler.settings import Settings
from services.scheduler.state import ReadModelState
from services.scheduler.timekeeper import Timekeeper
from shared.bus import Bus
from shared.keys.bucket import BusKeys
from shared.keys.reading import read_recipient_key
from shared.keys.vault import Vault, encryption_keys
from shared.readmodel.reader import read_model
from shared.serving import replica_name, serve
from shared.settings import load


async def work(bus: Bus) -> None:
    settings = load(Settings, os.environ)
    kek = read_recipient_key(Path(settings.kek_file))
    vault = Vault(BusKeys(bus), encryption_keys(settings.encryption_key))
    async with read_model(settings.database_url) as reader:
        state = ReadModelState(reader)
        orders = Orders(bus, state, vault, kek)
        timekeeper = Timekeeper(bus, ReadModelBook(reader))
        scheduler = Scheduler(
            bus, state, orders, pool_limit=settings.pool_limit, beside=(timekeeper.keep,)
        )
        await timekeeper.rehearse()
        await scheduler.listen(replica_name())


if __name__ == "__main__":
    serve("scheduler", work, Settings)
