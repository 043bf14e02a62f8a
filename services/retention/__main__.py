"""Starts the retention service."""

from __future__ import annotations

import os
from datetime import timedelta

from services.retention.history import ReadModelHistory
from services.retention.service import Retention
from services.retention.settings import Settings
from shared.bus import Bus
from shared.readmodel.reader import read_model
from shared.serving import serve
from shared.settings import load


async def work(bus: Bus) -> None:
    settings = load(Settings, os.environ)
    async with read_model(settings.database_url) as reader:
        window = timedelta(seconds=settings.undo_window_s)
        await Retention(bus, ReadModelHistory(reader), undo_window=window).listen()


if __name__ == "__main__":
    serve("retention", work, Settings)
