"""Starts the notifier."""

from __future__ import annotations

import os

from services.notifier.service import Notifier
from services.notifier.settings import Settings
from services.notifier.subscriptions import ReadModelSubscriptions
from shared.bus import Bus
from shared.keys.bucket import BusKeys
from shared.keys.vault import Vault, encryption_keys
from shared.readmodel.reader import read_model
from shared.serving import serve
from shared.settings import load


async def work(bus: Bus) -> None:
    settings = load(Settings, os.environ)
    vault = Vault(BusKeys(bus), encryption_keys(settings.encryption_key))
    async with read_model(settings.database_url) as reader:
        subscriptions = ReadModelSubscriptions(reader)
        allow_loopback = settings.notifier_allow_loopback
        await Notifier(bus, vault, subscriptions, allow_loopback=allow_loopback).listen()


if __name__ == "__main__":
    serve("notifier", work, Settings)
