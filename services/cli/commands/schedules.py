"""Schedules and blackouts."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.errors import BadArgumentError
from services.cli.output import Output, note, show, show_one

Many = Parameter(negative="")
Databases = Annotated[
    tuple[str, ...], Many, Parameter(name="--database", help="The id of a database; may repeat")
]
Tags = Annotated[tuple[str, ...], Many, Parameter(name="--tag", help="Databases with this tag")]
Groups = Annotated[tuple[str, ...], Many, Parameter(name="--group", help="The id of a group")]
Stores = Annotated[
    tuple[str, ...],
    Many,
    Parameter(name="--store", help="STORE or STORE=POLICY; the first holds the dump"),
]
Blackouts = Annotated[
    tuple[str, ...], Many, Parameter(name="--blackout", help="The name of a blackout; may repeat")
]
Checks = Annotated[
    tuple[str, ...],
    Many,
    Parameter(
        name="--check",
        help="What a restored database answers: 'NAME: QUERY', 'NAME = VALUE: QUERY' or "
        "'NAME >= NUMBER: QUERY'; may repeat",
    ),
]
_CHECK = re.compile(
    r"(?P<name>[^:=>]+?)\s*(?:(?P<how>>=|=)\s*(?P<what>[^:]*?))?\s*:\s*(?P<query>.+)", re.DOTALL
)
Zone = Annotated[str, Parameter(help="A time zone, as Europe/Berlin")]


async def add(  # noqa: PLR0913 - an argument per option
    name: str,
    *,
    cron: Annotated[str, Parameter(help="Five fields, as '30 2 * * *'")],
    zone: Zone = "UTC",
    databases: Databases = (),
    groups: Groups = (),
    tags: Tags = (),
    stores: Stores,
    blackouts: Blackouts = (),
    kind: Annotated[
        Literal["full", "incremental", "differential"], Parameter(name="--type")
    ] = "full",
    chain_limit: Annotated[int, Parameter(help="Backups of a chain before the next full")] = 30,
    codec: Literal["zstd", "lz4", "gzip", "none"] = "zstd",
    jitter_s: int = 0,
    missed: Annotated[str, Parameter(help="skip, run_once or run_all")] = "run_once",
    test_restore: Annotated[
        str, Parameter(help="When to restore the newest backups as a test, as '0 4 * * *'")
    ] = "",
    checks: Checks = (),
    dry_run: Annotated[bool, Parameter(help="Show what it would do, and save nothing")] = False,
    output: Output = None,
) -> None:
    """Make a schedule: holdfast schedule add nightly --cron '30 2 * * *' --tag gold --store s3."""
    async with connected() as client:
        targets = []
        for text in stores:
            store, _, policy = text.partition("=")
            target = {"store_id": (await client.named("/stores", store))["id"]}
            if policy:
                target["policy_id"] = (await client.named("/policies", policy))["id"]
            targets.append(target)
        closed = [(await client.named("/blackouts", one))["id"] for one in blackouts]
        body = {
            "name": name,
            "cron": cron,
            "time_zone": zone,
            "database_ids": list(databases),
            "group_ids": list(groups),
            "tags": list(tags),
            "targets": targets,
            "blackout_ids": closed,
            "type": kind,
            "chain_limit": chain_limit,
            "codec": codec,
            "jitter_s": jitter_s,
            "missed": missed,
            "test_restore": test_restore,
            "checks": [_check(one) for one in checks],
        }
        made = await client.post("/schedules/preview" if dry_run else "/schedules", body)
    _warn(made)
    show_one(made, output)


def _check(text: str) -> dict[str, Any]:
    """`orders >= 5: select count(*) from orders` as the API takes it."""
    found = _CHECK.fullmatch(text.strip())
    if found is None:
        raise BadArgumentError(f"no check: {text!r}", fix="say NAME [= VALUE | >= NUMBER]: QUERY")
    body: dict[str, Any] = {"name": found["name"].strip(), "query": found["query"]}
    if found["how"] == "=":
        body["expected"] = found["what"]
    elif found["how"] == ">=":
        try:
            body["at_least"] = float(found["what"])
        except ValueError:
            raise BadArgumentError(
                f"no number: {found['what']!r}", fix="say NAME >= 5: QUERY"
            ) from None
    return body


async def list_schedules(*, output: Output = None) -> None:
    """List the schedules."""
    async with connected() as client:
        columns = ("id", "name", "cron", "time_zone", "paused", "problem")
        show(await client.every("/schedules"), columns, output)


async def show_schedule(schedule: str, *, output: Output = None) -> None:
    """Show one schedule, and what it would run into."""
    async with connected() as client:
        named = await client.named("/schedules", schedule)
        found = await client.get(f"/schedules/{named['id']}")
    _warn(found)
    show_one(found, output)


def _warn(shown: dict[str, Any]) -> None:
    for warning in shown["warnings"]:
        others = f" (with {', '.join(warning['schedules'])})" if warning["schedules"] else ""
        times = f"{warning['at']}, {warning['times']} times"
        note(f"Warning: {warning['sentence']}{others}: {times}.")


async def preview(schedule: str, *, output: Output = None) -> None:
    """Show the next runs, what they run into, and what the policies would keep."""
    async with connected() as client:
        found = await client.named("/schedules", schedule)
        show_one(await client.get(f"/schedules/{found['id']}/preview"), output)


async def run(schedule: str, *, output: Output = None) -> None:
    """Back up everything that a schedule reaches, now."""
    await _tell(schedule, "run", output)


async def pause(schedule: str, *, output: Output = None) -> None:
    """Stop a schedule until it is resumed."""
    await _tell(schedule, "pause", output)


async def resume(schedule: str, *, output: Output = None) -> None:
    """Let a paused schedule go on."""
    await _tell(schedule, "resume", output)


async def _tell(schedule: str, verb: str, output: Output) -> None:
    async with connected() as client:
        found = await client.named("/schedules", schedule)
        show_one(await client.post(f"/schedules/{found['id']}/{verb}"), output)


async def remove(schedule: str) -> None:
    """Delete a schedule; its backups stay."""
    await _remove("/schedules", schedule)


async def add_blackout(
    name: str, *, cron: str, minutes: int, zone: Zone = "UTC", output: Output = None
) -> None:
    """Make a window: holdfast blackout add office --cron '0 8 * * 1-5' --minutes 600."""
    body = {"name": name, "cron": cron, "time_zone": zone, "minutes": minutes}
    async with connected() as client:
        show_one(await client.post("/blackouts", body), output)


async def list_blackouts(*, output: Output = None) -> None:
    """List the blackouts."""
    async with connected() as client:
        columns = ("id", "name", "cron", "time_zone", "minutes", "enabled")
        show(await client.every("/blackouts"), columns, output)


async def remove_blackout(blackout: str) -> None:
    """Delete a blackout that no schedule names."""
    await _remove("/blackouts", blackout)


async def _remove(path: str, name: str) -> None:
    async with connected() as client:
        found = await client.named(path, name)
        await client.delete(f"{path}/{found['id']}", version=found["version"])
    note(f"{name} is removed.")


def register(app: App) -> None:
    """Add the commands of this file."""
    schedules = App(name="schedule", help="When to back up what.")
    schedules.command(add)
    schedules.command(list_schedules, name="list")
    schedules.command(show_schedule, name="show")
    for command in (preview, run, pause, resume, remove):
        schedules.command(command)
    blackouts = App(name="blackout", help="Windows in which nothing starts.")
    blackouts.command(add_blackout, name="add")
    blackouts.command(list_blackouts, name="list")
    blackouts.command(remove_blackout, name="remove")
    app.command(schedules)
    app.command(blackouts)
