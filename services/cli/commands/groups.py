"""Groups of servers."""

from __future__ import annotations

from cyclopts import App

from services.cli.client import connected
from services.cli.output import Output, note, show, show_one


async def add_group(
    name: str, *, description: str = "", quota_bytes: int | None = None, output: Output = None
) -> None:
    """Make a group: holdfast group add web. Its servers' backups may take up the quota in all
    stores together."""
    async with connected() as client:
        body = {"name": name, "description": description, "quota_bytes": quota_bytes}
        show_one(await client.post("/server-groups", body), output)


async def list_groups(*, output: Output = None) -> None:
    """List the groups."""
    async with connected() as client:
        columns = ("id", "name", "description", "quota_bytes", "version")
        show(await client.every("/server-groups"), columns, output)


async def delete_group(group: str) -> None:
    """Delete a group that no server belongs to."""
    async with connected() as client:
        found = await client.named("/server-groups", group)
        await client.delete(f"/server-groups/{found['id']}", version=found["version"])
    note("Deleted.")


def register(app: App) -> None:
    """Add the commands of this file."""
    groups = App(name="group", help="Groups of servers.")
    groups.command(add_group, name="add")
    groups.command(list_groups, name="list")
    groups.command(delete_group, name="delete")
    app.command(groups)
