"""`python -m services.auditor`: the service, or one of `guard`, `repair` and `rebuild`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from services.auditor.commands import run_command
from services.auditor.line import line
from services.auditor.service import Auditor
from services.auditor.settings import Settings
from shared.bus import Bus
from shared.bus.connection import BusSettings
from shared.keys.audit import read_audit_key
from shared.readmodel.migrations import migrate
from shared.serving import replica_name, serve
from shared.settings import load


async def work(bus: Bus) -> None:
    """Bring Postgres to this version, then wait for the lead."""
    settings = load(Settings, os.environ)
    key = read_audit_key(Path(settings.audit_key_file))
    await migrate(settings.database_url, reader=settings.reader_role)
    async with line(load(BusSettings, os.environ)) as own:
        await Auditor(bus, own, settings, key, name=replica_name()).work()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_command(sys.argv[1:])
    else:
        serve("auditor", work, Settings, gate=False)
