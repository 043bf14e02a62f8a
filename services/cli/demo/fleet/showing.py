"""`holdfast demo --fleet`: a populated installation to look around in, until Ctrl-C."""

from __future__ import annotations

import asyncio
import secrets
import shutil

from services.cli.demo.fleet.populating import SERVICES, sample_fleet
from services.cli.demo.story import console, say
from services.launcher.directory import DataDirectory
from services.launcher.up import running, stop_signal


def run_fleet(home: DataDirectory) -> int:
    """Show the fleet in a fresh folder of `home`; the exit status."""
    asyncio.run(_show(DataDirectory(home.root / "fleet")))
    return 0


async def _show(root: DataDirectory) -> None:
    with root.locked():
        pass  # nobody runs there, so what an earlier one left may go
    shutil.rmtree(root.root)
    mark(root)
    stopping, password = stop_signal(), secrets.token_urlsafe(12)
    say("starting the platform, and making up ninety days of sample data")
    async with running(root, services=SERVICES) as platform, sample_fleet(platform, password):
        console.print(f"\n  {platform.url}  admin@example.com  {password}")
        console.print("  None of its servers exists, and nothing is backed up. Ctrl-C stops it.")
        await stopping.wait()


def mark(home: DataDirectory) -> None:
    """Say on every page of this installation, for ever, that its data is made up."""
    with home.locked():
        home.sample_data.touch()
