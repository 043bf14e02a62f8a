"""The installation at a glance."""

from __future__ import annotations

from cyclopts import App

from services.cli.client import connected
from services.cli.output import Output, note, show_one


async def system(*, output: Output = None) -> None:
    """Show how the installation does, and what is wrong with it."""
    async with connected() as client:
        seen = await client.get("/system")
    show_one(seen, output)
    for warning in seen["warnings"]:
        note(f"warning: {warning}")


def register(app: App) -> None:
    """Add the commands of this file."""
    app.command(system)
