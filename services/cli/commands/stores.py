"""Stores."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from services.cli.client import Client, connected
from services.cli.commands.servers import Secrets
from services.cli.errors import FAILED, OK
from services.cli.output import Output, show, show_one
from services.cli.plugins import config_of
from services.cli.secrets_in import secret

Settings = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="A setting of the store, as root=/backups"),
]

LOOK_EVERY_S = 0.5

MoveAfter = Annotated[int | None, Parameter(help="Days after which a verified backup moves on")]
MoveTo = Annotated[str | None, Parameter(help="The store that it then moves to")]


async def add_store(  # noqa: PLR0913 - an argument per option
    name: str,
    *,
    kind: str = "local",
    settings: Settings = (),
    secrets: Secrets = (),
    tier: Literal["hot", "cold"] = "hot",
    move_after_days: MoveAfter = None,
    move_to: MoveTo = None,
    run_limit: Annotated[int, Parameter(help="Runs that use it at once; 0: any number")] = 0,
    upload_bytes_s: Annotated[int | None, Parameter(help="Bytes a second, at most")] = None,
    download_bytes_s: Annotated[int | None, Parameter(help="Bytes a second, at most")] = None,
    passphrase_file: Annotated[
        str | None,
        Parameter(help="A file with a passphrase, or -: it opens new archives, too, for ever"),
    ] = None,
    output: Output = None,
) -> None:
    """Register a store: holdfast store add cellar --kind local --set root=/backups"""
    async with connected() as client:
        body: dict[str, Any] = {
            "name": name,
            "tier": tier,
            "run_limit": run_limit,
            "upload_bytes_s": upload_bytes_s,
            "download_bytes_s": download_bytes_s,
            "store": await config_of(client, "store", kind, settings, secrets),
        }
        if passphrase_file is not None:
            body["passphrase"] = secret("passphrase", passphrase_file)
        if move_to is not None or move_after_days is not None:
            body["move_after_days"] = move_after_days
            body["move_to_store_id"] = move_to and (await client.named("/stores", move_to))["id"]
        show_one(await client.post("/stores", body), output)


async def list_stores(*, output: Output = None) -> None:
    """List the stores."""
    async with connected() as client:
        show(await client.every("/stores"), ("id", "name", "tier", "store", "version"), output)


async def try_store(store: str, *, output: Output = None) -> None:
    """Write an object into a store, read it back, delete it: holdfast store test cellar"""
    async with connected() as client:
        found = await client.named("/stores", store)
        show_one(await client.post(f"/stores/{found['id']}/test", {}), output)


async def show_usage(store: str, *, output: Output = None) -> None:
    """What a store holds, and when it will be full: holdfast store usage cellar"""
    async with connected() as client:
        found = await client.named("/stores", store)
        show_one(await client.get(f"/stores/{found['id']}/usage"), output)


async def _searched(client: Client, path: str) -> dict[str, Any]:
    while True:
        outcome: dict[str, Any] = await client.get(path)
        if outcome["status"] != "running":
            return outcome
        await asyncio.sleep(LOOK_EVERY_S)


async def import_store(
    store: str,
    *,
    trust: Annotated[str, Parameter(help="The platform fingerprint on the recovery sheet")],
    output: Output = None,
) -> int:
    """Make the backups known that another installation left there: holdfast store import cellar

    Only what the platform with this fingerprint signed is believed. Its key comes by `holdfast key
    import`.
    """
    async with connected() as client:
        found = await client.named("/stores", store)
        path = f"/stores/{found['id']}/imports"
        begun = await client.post(path, {"trust": trust})
        outcome = await _searched(client, f"{path}/{begun['id']}")
    show_one(outcome, output)
    return OK if outcome["status"] == "completed" and not outcome["refusals"] else FAILED


def register(app: App) -> None:
    """Add the commands of this file."""
    stores = App(name="store", help="The places where archives live.")
    stores.command(add_store, name="add")
    stores.command(list_stores, name="list")
    stores.command(try_store, name="test")
    stores.command(show_usage, name="usage")
    stores.command(import_store, name="import")
    app.command(stores)
