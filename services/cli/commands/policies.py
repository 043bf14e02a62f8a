"""Policies."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.commands.backups import agreed
from services.cli.errors import BadArgumentError
from services.cli.output import Output, note, show, show_one

COLUMNS = ("id", "name", "keep_last", "keep_days", "keep_daily", "keep_weekly", "keep_monthly")


async def add(  # noqa: PLR0913 - an argument per rule
    name: str,
    *,
    keep_last: Annotated[int, Parameter(help="The newest good backups")] = 0,
    keep_days: Annotated[int, Parameter(help="Those of the last days")] = 0,
    keep_daily: Annotated[int, Parameter(help="The newest of each of the last days")] = 0,
    keep_weekly: int = 0,
    keep_monthly: int = 0,
    keep_yearly: int = 0,
    min_age_s: Annotated[int, Parameter(help="Nothing younger expires")] = 0,
    output: Output = None,
) -> None:
    """Make a policy: holdfast policy add yearly --keep-daily 7 --keep-monthly 12"""
    body = {
        "name": name,
        "keep_last": keep_last,
        "keep_days": keep_days,
        "keep_daily": keep_daily,
        "keep_weekly": keep_weekly,
        "keep_monthly": keep_monthly,
        "keep_yearly": keep_yearly,
        "min_age_s": min_age_s,
    }
    async with connected() as client:
        show_one(await client.post("/policies", body), output)


async def list_policies(*, output: Output = None) -> None:
    """List the policies."""
    async with connected() as client:
        show(await client.every("/policies"), COLUMNS, output)


async def show_policy(name: str, *, output: Output = None) -> None:
    """Show one policy."""
    async with connected() as client:
        show_one(await client.named("/policies", name), output)


async def preview(
    name: str,
    *,
    expiring: Annotated[bool, Parameter(help="Only what would expire")] = False,
    limit: int = 200,
    output: Output = None,
) -> None:
    """Show what a policy keeps of the backups there are, and why."""
    async with connected() as client:
        policy = await client.named("/policies", name)
        path, query = f"/policies/{policy['id']}/preview", {"expiring": str(expiring).lower()}
        found = await client.every(path, limit=limit, **query)
    for one in found:
        one["why"] = "; ".join(reason["sentence"] for reason in one["reasons"])
    show(found, ("backup_id", "store_id", "taken_at", "keep", "why"), output)


async def remove(name: str, *, yes: Annotated[bool, Parameter(help="Do not ask")] = False) -> None:
    """Remove a policy that no database and no schedule names."""
    if not yes and not agreed(f"Remove the policy {name}?"):
        raise BadArgumentError("not removed", fix="answer yes, or say --yes")
    async with connected() as client:
        policy = await client.named("/policies", name)
        await client.delete(f"/policies/{policy['id']}", version=policy["version"])
    note("The policy is removed.")


def register(app: App) -> None:
    """Add the commands of this file."""
    policies = App(name="policy", help="What to keep.")
    policies.command(add)
    policies.command(list_policies, name="list")
    policies.command(show_policy, name="show")
    policies.command(preview)
    policies.command(remove)
    app.command(policies)
