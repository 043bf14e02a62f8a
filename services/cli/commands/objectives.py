"""Objectives."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.durations import seconds_of
from services.cli.output import Output, note, show, show_one

Many = Parameter(negative="")
Databases = Annotated[
    tuple[str, ...], Many, Parameter(name="--database", help="The id of a database; may repeat")
]
Tags = Annotated[tuple[str, ...], Many, Parameter(name="--tag", help="Databases with this tag")]
Groups = Annotated[tuple[str, ...], Many, Parameter(name="--group", help="A group of servers")]
Rpo = Annotated[str, Parameter(help="How old the last good backup may get, as 90m, 24h or 7d")]
Rto = Annotated[str, Parameter(help="How long a restore may take, as 2h")]
COLUMNS = ("id", "name", "rpo_s", "rto_s", "group_ids", "tags", "version")
STANDINGS = ("database", "server", "standing", "burn", "good_at", "objective")


async def add(  # noqa: PLR0913 - an argument per option
    name: str,
    *,
    rpo: Rpo,
    rto: Rto = "",
    databases: Databases = (),
    groups: Groups = (),
    tags: Tags = (),
    output: Output = None,
) -> None:
    """Set an objective: holdfast objective add daily --rpo 24h --tag gold

    Without --database, --group and --tag it is for every database.
    """
    body: dict[str, Any] = {
        "name": name,
        "rpo_s": seconds_of(rpo),
        "rto_s": seconds_of(rto) if rto else None,
        "database_ids": list(databases),
        "tags": list(tags),
    }
    async with connected() as client:
        named = [(await client.named("/server-groups", one))["id"] for one in groups]
        show_one(await client.post("/objectives", {**body, "group_ids": named}), output)


async def list_objectives(*, output: Output = None) -> None:
    """List the objectives."""
    async with connected() as client:
        show(await client.every("/objectives"), COLUMNS, output)


async def show_objective(name: str, *, output: Output = None) -> None:
    """Show one objective."""
    async with connected() as client:
        show_one(await client.named("/objectives", name), output)


async def status(
    *,
    standing: Annotated[str, Parameter(help="Only met, at_risk or missed")] = "",
    limit: int = 200,
    output: Output = None,
) -> None:
    """Show how databases stand to their objectives, those that are worst off first."""
    query = {"standing": standing} if standing else {}
    async with connected() as client:
        found = await client.every("/objectives/status", limit=limit, **query)
    show(found, STANDINGS, output)


async def remove(name: str) -> None:
    """Remove an objective; nothing is watched by it any more."""
    async with connected() as client:
        found = await client.named("/objectives", name)
        await client.delete(f"/objectives/{found['id']}", version=found["version"])
    note("The objective is removed.")


def register(app: App) -> None:
    """Add the commands of this file."""
    objectives = App(name="objective", help="How much may be lost.")
    objectives.command(add)
    objectives.command(list_objectives, name="list")
    objectives.command(show_objective, name="show")
    objectives.command(status)
    objectives.command(remove)
    app.command(objectives)
