"""Stores."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.commands.servers import Secrets
from services.cli.output import Output, show, show_one
from services.cli.plugins import config_of

Settings = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="A setting of the store, as root=/backups"),
]


async def add_store(
    name: str,
    *,
    kind: str = "local",
    settings: Settings = (),
    secrets: Secrets = (),
    output: Output = None,
) -> None:
    """Register a store: holdfast store add cellar --kind local --set root=/backups"""
    async with connected() as client:
        body = {"name": name, "store": await config_of(client, "store", kind, settings, secrets)}
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


def register(app: App) -> None:
    """Add the commands of this file."""
    stores = App(name="store", help="The places where archives live.")
    stores.command(add_store, name="add")
    stores.command(list_stores, name="list")
    stores.command(try_store, name="test")
    stores.command(show_usage, name="usage")
    app.command(stores)
