"""Starts the health service."""

from __future__ import annotations

import os
import time

from services.health.objectives import ObjectiveWatch, ReadModelPromises
from services.health.probes import Probes
from services.health.schedules import ReadModelCalendar, ScheduleWatch
from services.health.service import HealthService
from services.health.settings import Settings
from services.health.watched import ReadModelServers
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
        probes = Probes(bus, vault)
        watch = ObjectiveWatch(bus, ReadModelPromises(reader))
        schedules = ScheduleWatch(bus, ReadModelCalendar(reader))
        service = HealthService(
            bus,
            ReadModelServers(reader),
            probes,
            clock_s=time.monotonic,
            beside=[watch.watch, schedules.watch],
        )
        await service.listen(replica_name())


if __name__ == "__main__":
    serve("health", work, Settings)
