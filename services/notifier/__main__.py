"""Starts the notifier."""

from __future__ import annotations

import os

from services.notifier.service import Notifier
from services.notifier.settings import Settings
from shared.bus import Bus
from shared.keys.bucket import BusKeys
from shared.keys.vault import Vault
from shared.serving import serve
from shared.settings import load


async def work(bus: Bus) -> None:
    settings = load(Settings, os.environ)
    vault = Vault(BusKeys(bus), settings.encryption_key.split(","))
    await Notifier(bus, vault, settings).listen()


if __name__ == "__main__":
    serve("notifier", work)
