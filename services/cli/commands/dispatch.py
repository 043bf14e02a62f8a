"""Whether runs begin at all."""

from __future__ import annotations

from cyclopts import App

from services.cli.client import connected
from services.cli.output import Output, note, show_one


async def show_dispatch(*, output: Output = None) -> None:
    """Show whether backups, restores and commands begin."""
    async with connected() as client:
        show_one(await client.get("/dispatch"), output)


async def pause(*, reason: str) -> None:
    """Let no backup, restore or command begin; those that run go on."""
    async with connected() as client:
        await client.post("/dispatch/pause", {"reason": reason})
    note("Nothing begins any more. Go on with: holdfast dispatch resume")


async def resume() -> None:
    """Let runs begin again."""
    async with connected() as client:
        await client.post("/dispatch/resume")
    note("Runs begin again.")


def register(app: App) -> None:
    """Add the commands of this file."""
    dispatch = App(name="dispatch", help="Whether runs begin at all.")
    dispatch.command(show_dispatch, name="show")
    dispatch.command(pause)
    dispatch.command(resume)
    app.command(dispatch)
