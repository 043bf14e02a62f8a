"""Settings of any noun: their versions, and going back to one."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.output import Output, show, show_one

Noun = Annotated[str, Parameter(help="server, store, policy, schedule, channel, rule, ...")]
Version = Annotated[int, Parameter(help="A version that `holdfast setting versions` shows")]
COLUMNS = ("version", "time", "actor", "removed", "changes")


async def versions(noun: Noun, key: str, *, limit: int = 50, output: Output = None) -> None:
    """Show every version of a setting, the newest first, with what it changed."""
    async with connected() as client:
        show(await client.every(f"/settings/{noun}/{key}/versions", limit=limit), COLUMNS, output)


async def revert(noun: Noun, key: str, version: Version, *, output: Output = None) -> None:
    """Write an earlier version of a setting anew, over the present one."""
    async with connected() as client:
        path = f"/settings/{noun}/{key}"
        (present,) = await client.every(f"{path}/versions", limit=1)
        show_one(await client.revert(path, version, over=present["version"]), output)


def register(app: App) -> None:
    """Add the commands of this file."""
    setting = App(name="setting", help="Versions of settings.")
    setting.command(versions)
    setting.command(revert)
    app.command(setting)
