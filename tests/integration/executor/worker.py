"""An executor process of a test: the product's own, but quick to notice a dead worker."""

from __future__ import annotations

import os

import uvloop

from services.executor.__main__ import work
from shared import log
from shared.bus.connection import BusSettings
from shared.bus.jetstream import connect
from shared.bus.redelivery import Redelivery
from shared.settings import load


async def main() -> None:
    pace = Redelivery(silence_s=float(os.environ["SILENCE_S"]))
    settings = load(BusSettings, os.environ)
    async with connect(settings, source="executor", gate=False, pace=pace) as bus:
        await work(bus)


if __name__ == "__main__":
    log.configure("executor")
    uvloop.run(main())
