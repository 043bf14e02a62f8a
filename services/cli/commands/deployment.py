"""A deployment on many machines: what it needs, and its first step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from services.cli.errors import OK, BadArgumentError
from services.cli.output import Output, note, show_one

Out = Annotated[Path, Parameter(help="The folder to make it in (0700)")]
At = Annotated[
    Path | None,
    Parameter(help="Where the services will find that folder, such as a mount; default: there"),
]
Host = Annotated[
    list[str] | None,
    Parameter(help="A name or address under which people reach the gateway; may be repeated"),
]
Address = Annotated[str, Parameter(help="host:port")]


def init(  # noqa: PLR0913 - each is an option of the command line
    *,
    out: Out,
    at: At = None,
    host: Host = None,
    gateway_port: int = 7420,
    nats: Address = "nats:4222",
    postgres: Address = "postgres:5432",
    output: Output = None,
) -> int:
    """Make keys, certificates, users and environments for a deployment; overwrites nothing."""
    from services.launcher.deployment import Deployment, Place, Plan

    folder = out.absolute()
    plan = Plan(
        out=folder,
        at=at or folder,
        hosts=tuple(host or ["localhost"]),
        gateway_port=gateway_port,
        nats=Place(*_parts(nats)),
        postgres=Place(*_parts(postgres)),
    )
    made = Deployment(plan).make()
    show_one({"out": str(folder), "files_made": len(made)}, output)
    note(f"{folder}/README.md says what is what. Print the recovery sheet before anything else.")
    return OK


async def bootstrap() -> int:
    """Make streams and buckets in NATS, and say who the platform is. Safe to repeat."""
    from services.launcher.identity import BootstrapSettings, prepare_nats
    from shared.bus.jetstream import BusSettings
    from shared.settings import check_all, load

    check_all([BusSettings, BootstrapSettings], os.environ)
    settings = load(BootstrapSettings, os.environ)
    first = await prepare_nats(load(BusSettings, os.environ), settings)
    note("This NATS is a new platform's now." if first else "Nothing was missing.")
    return OK


def _parts(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise BadArgumentError(f"{text} is not host:port")
    return host, int(port)


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (init, bootstrap):
        app.command(command)
