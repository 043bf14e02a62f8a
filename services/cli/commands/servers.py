"""Servers and their databases."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.errors import FAILED, OK
from services.cli.output import Output, show, show_one
from services.cli.plugins import config_of

COLUMNS = ("id", "name", "environment", "pool", "health", "version")
Settings = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="A setting of the engine, as host=db1"),
]
Secrets = Annotated[
    tuple[str, ...],
    Parameter(name="--secret", negative="", help="A secret, as password=FILE or password=-"),
]
RunnerSettings = Annotated[
    tuple[str, ...], Parameter(name="--runner-set", negative="", help="A setting of the runner")
]
RunnerSecrets = Annotated[
    tuple[str, ...],
    Parameter(name="--runner-secret", negative="", help="A secret of the runner, as key=FILE"),
]
Groups = Annotated[
    tuple[str, ...], Parameter(name="--group", negative="", help="A group it belongs to")
]


async def add(  # noqa: PLR0913 - an argument per option
    name: str,
    *,
    engine: str = "postgresql",
    settings: Settings = (),
    secrets: Secrets = (),
    runner: str = "local",
    runner_settings: RunnerSettings = (),
    runner_secrets: RunnerSecrets = (),
    endpoint: str = "main",
    environment: str = "production",
    pool: str = "core",
    groups: Groups = (),
    output: Output = None,
) -> None:
    """Register a server with one engine.

    holdfast server add shop --set host=db1 --set user=backup --secret password=./password
    """
    async with connected() as client:
        body = {
            "name": name,
            "environment": environment,
            "pool": pool,
            "group_ids": [(await client.named("/server-groups", it))["id"] for it in groups],
            "runner": await config_of(client, "runner", runner, runner_settings, runner_secrets),
            "endpoints": [
                {
                    "name": endpoint,
                    "engine": await config_of(client, "engine", engine, settings, secrets),
                }
            ],
        }
        show_one(await client.post("/servers", body), output)


async def list_servers(*, output: Output = None) -> None:
    """List the servers."""
    async with connected() as client:
        show(await client.every("/servers"), COLUMNS, output)


async def reach(name: str, *, output: Output = None) -> int:
    """Connect to every engine of a server; exit code 1 when one cannot be used."""
    async with connected() as client:
        server = await client.named("/servers", name)
        said: dict[str, Any] = await client.post(f"/servers/{server['id']}/test-connection")
    show_one(said, output)
    return OK if said.get("ok", True) else FAILED


async def list_databases(server: str | None = None, *, output: Output = None) -> None:
    """List known databases; with SERVER, look on that server now."""
    columns = ("id", "endpoint", "name", "size_bytes")
    async with connected() as client:
        if server is None:
            show(await client.every("/databases"), (*columns, "policy_id"), output)
            return
        found = await client.named("/servers", server)
        said = await client.get(f"/servers/{found['id']}/databases")
        if problem := said.get("problem"):
            show_one(problem, output)
        else:
            show(said.get("databases", [said]), columns, output)


def register(app: App) -> None:
    """Add the commands of this file."""
    servers = App(name="server", help="The places where databases live.")
    servers.command(add)
    servers.command(list_servers, name="list")
    servers.command(reach, name="test")
    databases = App(name="db", help="Databases on the servers.")
    databases.command(list_databases, name="list")
    app.command(servers)
    app.command(databases)
